"""What ranks find already there when the forkserver starts them."""

import gc
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.ranks import run_on_ranks

pytestmark = pytest.mark.slow


def test_a_rank_begins_with_all_imported_and_nothing_to_collect(tmp_path: Path) -> None:
    run_on_ranks(_tell, None, ranks=1, directory=tmp_path, launched=False)
    told = json.loads((tmp_path / "told.json").read_text())
    assert told["compiler"]
    assert told["frozen"] > 100_000


def _tell(_: Any, directory: Path) -> None:
    told = {"compiler": "torch._inductor.select_algorithm" in sys.modules, "frozen": gc.get_freeze_count()}
    (directory / "told.json").write_text(json.dumps(told))

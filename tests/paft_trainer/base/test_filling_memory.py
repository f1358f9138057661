"""What a cold cache costs in memory while it is filled."""

import pickle
import subprocess
import sys
from pathlib import Path

from tests.paft_trainer.base.indexed_bases import put_files

from paft_trainer.storage.file_store import FileStore, uri_of

MIB = 1024 * 1024
TENSORS = 12


def test_filling_takes_no_more_than_64_mib(tmp_path: Path) -> None:
    shapes = {"model.safetensors": {f"tensor-{number}": (12 * MIB,) for number in range(TENSORS)}}
    index = put_files(FileStore(), f"{uri_of(tmp_path)}/base/", shapes)
    (tmp_path / "index").write_bytes(pickle.dumps(index))
    command = [sys.executable, "-m", "tests.paft_trainer.base.filling_memory", str(tmp_path)]
    grown = int(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    assert sum(path.stat().st_size for path in (tmp_path / "cache" / "extents").rglob("*")) > index.size
    assert grown <= 64 * MIB

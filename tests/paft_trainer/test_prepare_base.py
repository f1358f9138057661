"""What a launcher hands its ranks of the base."""

from pathlib import Path

import pytest
from tests.paft_trainer.base.indexed_bases import SHARDED, put_base
from tests.run_specs import arm_run_spec

from paft_trainer.base.local_base import read_local_base
from paft_trainer.launching.arm_launcher import prepare_base
from paft_trainer.storage.file_store import FileStore, uri_of


def test_a_base_whose_index_is_gone_is_read_again_and_that_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = f"{uri_of(tmp_path)}/base/"
    put_base(FileStore(), base, SHARDED)
    spec = arm_run_spec("sft", base=tmp_path / "base", data=tmp_path / "chats.jsonl", artifacts=tmp_path / "artifacts")
    told = f"{base}: the index that prepare made of it is gone from storage.artifactsUri; 0.0 GB are read"
    for expected in (told, ""):
        local = read_local_base(spec.storage.artifacts_uri, prepare_base(spec, FileStore()))
        assert local.pieces.base_digest == spec.base_digest
        out = capsys.readouterr().out
        assert out.startswith(told) if expected else out == ""

"""`paft run` over an S3 server with wrong keys, which are in the AWS configuration alone. A whole job with right
ones is in tests/storage_faults/test_whole_job.py."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hack import seaweedfs
from tests.planted_secrets import PLANTED, command_lines, require_no_leaks, run_with_profiles
from tests.run_specs import write_sums
from tests.tiny_models import build_checkpoint

from paft_api.spec.storage import StorageSpec
from paft_trainer.storage import ObjectStore, open_store

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def store(s3: StorageSpec) -> ObjectStore:
    """The one of the job."""
    return open_store(s3)


@pytest.fixture
def place(s3: StorageSpec, store: ObjectStore, tmp_path: Path) -> Path:
    """A folder with job.yaml; base and rows are in the object store, and each has keys of its own."""
    base = build_checkpoint(tmp_path / "built" / "base")
    chats, pairs = write_sums(tmp_path / "built")
    for path in (*base.iterdir(), chats, pairs):
        folder = "base/" if path.parent == base else ""
        store.put(f"{s3.artifacts_uri}in/{folder}{path.name}", path.read_bytes())
    here = tmp_path / "here"
    here.mkdir()
    (here / "job.yaml").write_text(yaml.safe_dump(_job(s3)))
    return here


def test_refused_keys_are_written_nowhere(place: Path, s3: StorageSpec) -> None:
    """Whose they are, storage's or a source's: each has others, and prepare tells of all of them."""
    wrong = {name: {key: f"{value}{name}" for key, value in PLANTED.items()} for name in ("s3", "models", "rows")}
    with command_lines() as lines:
        ended = run_with_profiles(place, wrong)

    assert ended.returncode == 1
    inputs = f"{s3.artifacts_uri}in/"
    for field, address in (
        ("spec.storage.artifactsUri", f"{s3.artifacts_uri}out/"),
        ("spec.base.uri", f"{inputs}base/"),
        ("spec.sft.data.train[0].uri", f"{inputs}chats.jsonl"),
        ("spec.preference.data.train[0].uri", f"{inputs}pairs.jsonl"),
    ):
        assert f"{field}: StorageAuth: {address}" in ended.stderr
    require_no_leaks([value for keys in wrong.values() for value in keys.values()], place, ended, lines)


def test_a_profile_that_is_missing_is_told_before_anything_runs(place: Path, s3_server: seaweedfs.S3Server) -> None:
    ended = run_with_profiles(place, dict.fromkeys(("s3", "rows"), s3_server.environment))

    assert ended.returncode == 1
    assert "spec.base.secretRef models: the AWS configuration of this machine has no profile" in ended.stderr
    assert "aws configure --profile models" in ended.stderr


def _job(s3: StorageSpec) -> dict[str, Any]:
    inputs, rows = f"{s3.artifacts_uri}in/", {"secretRef": {"name": "rows"}}
    arm = {
        "lora": {"r": 2},
        "training": {"maxSteps": 2, "globalBatchSize": 4, "maxLength": 64, "saveSteps": 1},
        "resources": {"gpusPerNode": 0},
    }
    spec = {
        "base": {"uri": f"{inputs}base/", "secretRef": {"name": "models"}},
        "storage": json.loads(s3.to_json()) | {"artifactsUri": f"{s3.artifacts_uri}out/", "secretRef": {"name": "s3"}},
        "sft": {"data": {"train": [{"uri": f"{inputs}chats.jsonl", "format": "messages"} | rows]}} | arm,
        "preference": {"data": {"train": [{"uri": f"{inputs}pairs.jsonl", "format": "preference"} | rows]}} | arm,
        "merge": {"output": {"uri": f"{s3.artifacts_uri}merged/"}},
    }
    return {"apiVersion": "paft.dev/v1alpha1", "kind": "PaftJob", "metadata": {"name": "planted"}, "spec": spec}

"""A whole `paft run` over an S3 server, with right and with wrong keys: they are in the AWS configuration alone."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hack import seaweedfs
from tests.planted_secrets import PLANTED, command_lines, files_below, leaks
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


def test_right_keys_are_written_nowhere(
    place: Path, s3: StorageSpec, s3_server: seaweedfs.S3Server, store: ObjectStore
) -> None:
    keys = s3_server.environment
    with command_lines() as lines:
        ended = _run(place, dict.fromkeys(("s3", "models", "rows"), keys))

    assert ended.returncode == 0, ended.stderr
    objects = {info.uri: store.read(info.uri) for info in store.list(s3.artifacts_uri)}
    assert any("/checkpoints/" in uri for uri in objects)
    assert any(uri.endswith("/merged/model.safetensors") for uri in objects)
    _require_no_leaks(keys, place, ended, objects | lines)


@pytest.mark.parametrize("wrong", ["s3", "models", "rows"])
def test_refused_keys_are_written_nowhere(wrong: str, place: Path, s3_server: seaweedfs.S3Server) -> None:
    keys = s3_server.environment
    with command_lines() as lines:
        ended = _run(place, dict.fromkeys(("s3", "models", "rows"), keys) | {wrong: PLANTED})

    assert ended.returncode == 1
    assert "StorageAuth" in ended.stderr
    _require_no_leaks(keys | {f"planted {name}": value for name, value in PLANTED.items()}, place, ended, lines)


def test_a_profile_that_is_missing_is_told_before_anything_runs(place: Path, s3_server: seaweedfs.S3Server) -> None:
    ended = _run(place, dict.fromkeys(("s3", "rows"), s3_server.environment))

    assert ended.returncode == 1
    assert "spec.base.secretRef models: the AWS configuration of this machine has no profile" in ended.stderr
    assert "aws configure --profile models" in ended.stderr


def _require_no_leaks(
    keys: dict[str, str], place: Path, ended: "subprocess.CompletedProcess[str]", more: dict[str, bytes]
) -> None:
    written = files_below(place)
    assert any(name.endswith("report.json") for name in written)
    assert any(name.endswith("log.txt") for name in written)
    printed = {"stdout": ended.stdout.encode(), "stderr": ended.stderr.encode()}
    assert leaks(keys.values(), written | printed | more) == {}


def _run(place: Path, profiles: dict[str, dict[str, str]]) -> "subprocess.CompletedProcess[str]":
    """`paft run`, with these profiles in the AWS configuration and no keys in the environment."""
    file = place.parent / "aws" / "credentials"
    file.parent.mkdir(exist_ok=True)
    lines = [
        line
        for name, keys in profiles.items()
        for line in (f"[{name}]", *(f"{key.lower()} = {value}" for key, value in keys.items()))
    ]
    file.write_text("\n".join(lines) + "\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return subprocess.run(
        [sys.executable, "-P", "-m", "paft_cli", "run", "job.yaml"],
        cwd=place,
        env=environment | {"AWS_SHARED_CREDENTIALS_FILE": str(file), "AWS_CONFIG_FILE": str(file.with_name("config"))},
        capture_output=True,
        text=True,
        check=False,
    )


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

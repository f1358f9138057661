"""One PaftJob, by `paft run` with real stages, of which every request to the object store fails once in some way, and
whose keys are in the AWS configuration alone."""

import zlib
from pathlib import Path
from typing import Any

import pytest
import yaml
from hack import seaweedfs
from tests.conftest import BUCKET
from tests.planted_secrets import command_lines, require_no_leaks, run_with_profiles
from tests.run_specs import write_sums
from tests.storage_faults.exchanges import Fault, Names, Request
from tests.storage_faults.fault_proxy import FaultProxy
from tests.tiny_models import build_checkpoint

from paft_api.spec.storage import StorageSpec
from paft_trainer.storage import open_store
from paft_trainer.verification import verify

_PASSING = (Fault.RESET_BEFORE, Fault.RESET_AFTER, Fault.ERROR, Fault.SLOW_DOWN)
FAULTS = {
    "GET": (*_PASSING, Fault.CUT_ANSWER),
    "PUT": (*_PASSING, Fault.CUT_BODY, Fault.WRONG_BODY),
    "POST": _PASSING,
    "HEAD": _PASSING,
    "DELETE": _PASSING,
}
"""All but stalls, for which real stages wait as long as a slow store may need."""


def every_first_one(request: Request) -> Fault | None:
    """Of each request the first fails, in a way that its name alone decides."""
    if request.turn > 1:
        return None
    faults = FAULTS[request.method]
    return faults[zlib.crc32(str(request).encode()) % len(faults)]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_job_succeeds_of_which_every_request_fails_once_and_writes_its_keys_nowhere(
    s3: StorageSpec, s3_server: seaweedfs.S3Server, tmp_path: Path
) -> None:
    place = tmp_path / "here"
    place.mkdir()
    upload(s3, tmp_path / "built")
    folder = s3.artifacts_uri.removeprefix(f"s3://{BUCKET}/").removesuffix("artifacts/")
    with FaultProxy(s3_server.endpoint) as proxy:
        proxy.begin(Names(folder), every_first_one)
        job = job_document(s3, proxy.endpoint)
        (place / "job.yaml").write_text(yaml.safe_dump(job), encoding="utf-8")
        with command_lines() as lines:
            ended = run_with_profiles(place, dict.fromkeys(("s3", "models", "rows"), s3_server.environment))
        assert ended.returncode == 0, ended.stderr
        happened = {request for request, _ in proxy.happened}
        asked = {exchange.request for exchange in proxy.exchanges}
    assert {(request.method, request.target) for request in asked} <= {(one.method, one.target) for one in happened}
    assert {fault for _, fault in proxy.happened} == {fault for faults in FAULTS.values() for fault in faults}
    store, output = open_store(s3), job["spec"]["merge"]["output"]["uri"]
    assert verify(store, output, artifacts_uri=s3.artifacts_uri).is_sound
    objects = {info.uri: store.read(info.uri) for folder in (s3.artifacts_uri, output) for info in store.list(folder)}
    assert any("/checkpoints/" in uri for uri in objects)
    assert any(uri.endswith(".safetensors") and uri.startswith(output) for uri in objects)
    require_no_leaks(s3_server.environment.values(), place, ended, objects | lines)


def upload(s3: StorageSpec, directory: Path) -> None:
    """A tiny base and the data of both arms, beside the artifacts."""
    directory.mkdir()
    build_checkpoint(directory / "base")
    write_sums(directory)
    store, folder = open_store(s3), s3.artifacts_uri.removesuffix("artifacts/")
    for path in [*(directory / "base").iterdir(), directory / "chats.jsonl", directory / "pairs.jsonl"]:
        store.put(f"{folder}{path.relative_to(directory)}", path.read_bytes())


def job_document(s3: StorageSpec, endpoint: str) -> dict[str, Any]:
    """As a user writes it; base and rows have keys of their own."""
    folder = s3.artifacts_uri.removesuffix("artifacts/")
    training = {
        "maxSteps": 4,
        "saveSteps": 2,
        "globalBatchSize": 4,
        "microBatchSize": 2,
        "maxLength": 64,
        "learningRate": 1.0e-2,
        "keep": {"last": 1},
    }
    rows = {"secretRef": {"name": "rows"}}
    arm = {"training": training, "lora": {"r": 4}, "resources": {"gpusPerNode": 0}}
    spec = {
        "base": {"uri": f"{folder}base/", "secretRef": {"name": "models"}},
        "storage": {"artifactsUri": s3.artifacts_uri, "endpoint": endpoint, "secretRef": {"name": "s3"}},
        "sft": arm | {"data": {"train": [{"uri": f"{folder}chats.jsonl", "format": "messages"} | rows]}},
        "preference": arm | {"data": {"train": [{"uri": f"{folder}pairs.jsonl", "format": "preference"} | rows]}},
        "merge": {"output": {"uri": f"{folder}output/", "maxShardSize": "60KB"}},
    }
    return {"apiVersion": "paft.dev/v1alpha1", "kind": "PaftJob", "metadata": {"name": "faulty"}, "spec": spec}

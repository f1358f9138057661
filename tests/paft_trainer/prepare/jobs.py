"""Jobs on a tiny base, as prepare gets them."""

import json
from pathlib import Path
from typing import Any

import pytest

from paft_api.report import PrepareResult
from paft_api.run_spec import RunSpec
from paft_trainer import prepare
from paft_trainer.reporting import Reporter

TRAINING = {"globalBatchSize": 8, "maxLength": 64, "epochs": 2}
ON_CPU = {"gpusPerNode": 0}


def prepare_run_spec(root: Path, storage: dict[str, Any], **changes: Any) -> RunSpec:
    """A job whose base and data lie under `root`. `changes` name fields: `sft__lora={"r": 2}`, `base={"uri": …}`."""
    document: dict[str, Any] = {
        "identity": {
            "jobName": "test",
            "jobNamespace": "default",
            "jobUid": "uid",
            "generation": 1,
            "stage": "prepare",
            "attempt": 1,
        },
        "base": {"uri": f"file://{root}/base/"},
        "storage": {"retryWindow": 5} | storage,
        "reportPath": "/unused",
        "terminationPath": "/unused",
        "scratchDirectory": str(root),
        "cacheDirectory": "/unused",
        "prepare": {
            "sft": {
                "data": {"train": [{"uri": f"file://{root}/chats.jsonl", "format": "messages"}]},
                "training": TRAINING,
                "resources": ON_CPU,
            },
            "preference": {
                "data": {"train": [{"uri": f"file://{root}/pairs.jsonl", "format": "preference"}]},
                "training": TRAINING,
                "resources": ON_CPU,
            },
            "merge": {"output": {"uri": f"{storage['artifactsUri']}output/"}},
        },
    }
    for name, value in changes.items():
        *parents, last = name.split("__")
        block = document if parents == [] else document["prepare"]
        for parent in parents:
            block = block[parent]
        block[last] = value
    return RunSpec.model_validate_json(json.dumps(document))


def run_prepare(run_spec: RunSpec) -> PrepareResult:
    """Run the stage in this process; nothing is reported."""
    return prepare.run(run_spec, Reporter(run_spec.identity, None))


def findings_of(run_spec: RunSpec) -> list[tuple[str, str, str]]:
    """Cause, field and message of all that is wrong with a job."""
    with pytest.raises(prepare.PreparationFailed) as caught:
        run_prepare(run_spec)
    assert all(finding.remedy for finding in caught.value.findings)
    return [(finding.cause.value, finding.field, finding.message) for finding in caught.value.findings]

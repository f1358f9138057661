"""Every document reads back as what was written, and no model lets anything in that it does not name."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError
from tests.paft_api.complete_job import complete_document, complete_job
from tests.paft_api.schemas import leaf_paths, models_in

from paft_api.model import Model
from paft_api.report import StageReport
from paft_api.run_spec import RunSpec, TerminationMessage
from paft_api.spec import Metadata, PaftJob, PaftJobSpec

DIGEST = "sha256:" + "0" * 64
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).isoformat()
IDENTITY = {
    "jobName": "complete",
    "jobNamespace": "team-a",
    "jobUid": "7d1c",
    "generation": 3,
    "stage": "sft",
    "attempt": 2,
}
WORLD = {
    "nodes": 2,
    "processesPerNode": 4,
    "device": "cuda",
    "gradientAccumulationSteps": 4,
    "threadsPerProcess": 2,
    "visibleDevices": [0, 1],
}
ADAPTER = {"uri": "s3://paft/sft/", "digest": DIGEST}
SPARSITY = {f"{part}{measure}": 0.5 for part in ("a", "b", "delta") for measure in ("Zero", "Small", "ZeroBf16")} | {
    "deltaNorm": 1.5
}
METRICS = {
    "steps": 10,
    "firstLoss": 2.0,
    "lastLoss": 1.0,
    "evalLoss": 1.5,
    "firstRewardMargin": 0.0,
    "lastRewardMargin": 0.5,
    "sparsity": SPARSITY,
    "tokensPerSecond": 100.0,
}
ARM = {"dataDigest": DIGEST, "stageDigest": DIGEST, "rows": 10, "totalSteps": 5, "finished": ADAPTER}
PROGRESS = {
    "activity": "Training",
    "step": 1,
    "totalSteps": 2,
    "loss": 1.0,
    "penalty": 0.1,
    "evalLoss": 1.1,
    "sparsity": SPARSITY,
    "rewardMargin": 0.2,
    "rewardAccuracy": 0.6,
    "tokensPerSecond": 10.0,
    "etaSeconds": 5.0,
    "checkpointStep": 1,
    "resumedStep": 1,
}
FINDING = {"cause": "DataInvalid", "field": "spec.sft.data", "message": "bad", "remedy": "Mend it."}
REPORT = {
    "identity": IDENTITY,
    "state": "Failed",
    "updatedAt": NOW,
    "progress": PROGRESS,
    "prepare": {"baseDigest": DIGEST, "sft": ARM, "preference": ARM},
    "adapter": METRICS | {"artifact": ADAPTER, "adopted": True},
    "merge": {
        "artifact": ADAPTER,
        "recipeDigest": DIGEST,
        "method": "ties",
        "mergedTensors": 1,
        "copiedTensors": 2,
        "bytes": 3,
        "seconds": 4.5,
        "peakMemoryBytes": 6,
        "adopted": True,
    },
    "failure": {"cause": "Diverged", "message": "m", "remedy": "r", "rank": 0, "findings": [FINDING]},
}
STAGE_STATUS = {
    "name": "sft",
    "state": "Waiting",
    "digest": DIGEST,
    "attempt": 1,
    "failures": 1,
    "artifactUri": "s3://paft/sft/",
    "artifactDigest": DIGEST,
    "step": 1,
    "totalSteps": 2,
    "progress": "1/2",
    "loss": "1.43",
    "sparsity": "0.91",
    "rewardMargin": "0.2",
    "tokensPerSecond": "10",
    "eta": "1h12m",
    "cause": "HostOOM",
    "message": "m",
    "startedAt": NOW,
    "finishedAt": NOW,
    "retryAt": NOW,
}
CONDITION = {
    "type": "Validated",
    "status": "True",
    "reason": "Completed",
    "message": "m",
    "lastTransitionTime": NOW,
    "observedGeneration": 3,
}
STATUS = {
    "observedGeneration": 3,
    "phase": "Training",
    "conditions": [CONDITION],
    "eta": "1h12m",
    "base": {"digest": DIGEST},
    "stages": [STAGE_STATUS],
    "output": {"uri": "s3://models/fused/", "digest": DIGEST, "method": "ties", "bytes": 3},
    "startedAt": NOW,
    "activeSeconds": 3.5,
}


def run_spec_documents() -> dict[str, dict[str, Any]]:
    """One run spec per stage."""
    spec = complete_document()["spec"]
    blocks: dict[str, dict[str, Any]] = {
        "prepare": {"sft": spec["sft"], "preference": spec["preference"], "merge": spec["merge"]},
        "sft": {"spec": spec["sft"], "world": WORLD},
        "preference": {"spec": spec["preference"], "world": WORLD},
        "merge": {"spec": spec["merge"], "sft": ADAPTER, "preference": ADAPTER},
    }
    paths = {
        "reportPath": "/run/report.json",
        "terminationPath": "/dev/termination-log",
        "scratchDirectory": "/scratch",
        "cacheDirectory": "/cache",
    }
    return {
        stage: {
            "identity": IDENTITY | {"stage": stage},
            "base": spec["base"],
            "storage": spec["storage"],
            "baseDigest": DIGEST,
            "stageDigest": DIGEST,
            "stopGraceSeconds": 30,
            stage: block,
        }
        | paths
        for stage, block in blocks.items()
    }


DOCUMENTS: list[tuple[type[Model], dict[str, Any]]] = [
    (PaftJob, complete_document() | {"status": STATUS}),
    (StageReport, REPORT),
    (TerminationMessage, {"cause": "HostOOM", "message": "m", "remedy": "r", "rank": 1, "exitCode": 65}),
    *((RunSpec, document) for document in run_spec_documents().values()),
]


@pytest.mark.parametrize(("model", "document"), DOCUMENTS)
def test_documents_read_back_as_they_were_written(model: type[Model], document: dict[str, Any]) -> None:
    instance = model.model_validate_json(json.dumps(document))

    assert model.model_validate_json(instance.to_json()) == instance
    assert json.loads(instance.to_json()) == instance.to_document()


@pytest.mark.parametrize(("model", "document"), DOCUMENTS[:3])
def test_the_documents_above_have_every_field(model: type[Model], document: dict[str, Any]) -> None:
    instance = model.model_validate_json(json.dumps(document))

    missing = [path for path in leaf_paths(model) if _value_at(instance.to_document(), path) is None]

    assert missing == []


@pytest.mark.parametrize("document", [PaftJob, RunSpec, StageReport, TerminationMessage])
def test_fields_that_no_model_names_are_errors(document: type[Model]) -> None:
    for model in models_in(document) - {Metadata}:
        with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
            model.model_validate_json('{"unknownField": 1}')


def test_models_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        complete_job().spec.sft.lora.r = 1  # type: ignore[misc]


def test_a_run_spec_holds_exactly_its_stage() -> None:
    documents = run_spec_documents()

    with pytest.raises(ValidationError, match="identity.stage is sft, but the blocks given are"):
        RunSpec.model_validate_json(json.dumps(documents["sft"] | {"merge": documents["merge"]["merge"]}))
    with pytest.raises(ValidationError, match="identity.stage is merge, but the blocks given are"):
        RunSpec.model_validate_json(json.dumps(documents["merge"] | {"merge": None}))


def test_a_minimal_spec_is_enough_and_every_default_works() -> None:
    minimal = {
        "base": {"uri": "s3://models/base"},
        "storage": {"artifactsUri": "s3://paft/artifacts"},
        "sft": {"data": {"train": [{"uri": "s3://data/sft.jsonl", "format": "messages"}]}},
        "preference": {"data": {"train": [{"uri": "s3://data/pairs.jsonl", "format": "preference"}]}},
        "merge": {"output": {"uri": "s3://models/fused"}},
    }

    spec = PaftJobSpec.model_validate_json(json.dumps(minimal))

    assert spec.base.uri == "s3://models/base/"
    assert spec.sft.resources.processes == 1
    assert PaftJobSpec.model_validate_json(json.dumps(spec.to_document())) == spec


def _value_at(document: Any, path: str) -> Any:
    for part in path.replace("[0]", ".0").split("."):
        document = document[int(part)] if part == "0" else document.get(part)
        if document is None:
            return None
    return document

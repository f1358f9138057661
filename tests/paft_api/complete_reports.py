"""Reports, statuses and run specs in which every field is set."""

from datetime import UTC, datetime
from typing import Any

from tests.paft_api.complete_job import complete_document

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
_MEASURES = ("Zero", "Small", "ZeroBf16", "Relative")
SPARSITY = {f"{part}{measure}": 0.5 for part in ("a", "b", "delta") for measure in _MEASURES} | {
    "deltaZeroRows": 0.25,
    "deltaNorm": 1.5,
}
WARNINGS = ["sft.l1.targetSparsity 0.9 is out of reach for A"]
METRICS = {
    "steps": 10,
    "firstLoss": 2.0,
    "lastLoss": 1.0,
    "evalLoss": 1.5,
    "bestStep": 8,
    "bestEvalLoss": 1.4,
    "endedStep": 10,
    "firstRewardMargin": 0.0,
    "lastRewardMargin": 0.5,
    "sparsity": SPARSITY,
    "warnings": WARNINGS,
    "tokensPerSecond": 100.0,
}
ARM = {"dataDigest": DIGEST, "stageDigest": DIGEST, "rows": 10, "totalSteps": 5, "finished": ADAPTER}
PROGRESS = {
    "activity": "Training",
    "waitingFor": "s3://paft/sft/ at https://s3.example.com: SlowDown",
    "step": 1,
    "totalSteps": 2,
    "loss": 1.0,
    "penalty": 0.1,
    "evalLoss": 1.1,
    "bestStep": 1,
    "bestEvalLoss": 1.1,
    "sparsity": SPARSITY,
    "warnings": WARNINGS,
    "rewardMargin": 0.2,
    "rewardAccuracy": 0.6,
    "logOddsRatio": 0.3,
    "tokensPerSecond": 10.0,
    "bytesPerSecond": 4.0e8,
    "bytesDone": 35_000_000_000,
    "bytesTotal": 140_000_000_000,
    "etaSeconds": 5.0,
    "checkpointStep": 1,
    "resumedStep": 1,
}
TIME = {"load": 9.5, "compile": 1.0, "train": 80.0, "evaluate": 3.0, "save": 2.0, "redo": 4.0, "waitForStorage": 0.5}
STAGE_TIME = {name: int(seconds) for name, seconds in TIME.items()} | {
    "since": NOW,
    "until": NOW,
    "attempt": 1,
    "queue": 7,
    "image": 30,
}
FINDING = {"cause": "DataInvalid", "field": "spec.sft.data", "message": "bad", "remedy": "Mend it."}
REPORT = {
    "identity": IDENTITY,
    "state": "Failed",
    "updatedAt": NOW,
    "time": TIME,
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
        "candidates": [
            {"name": "halved", "artifact": ADAPTER, "recipeDigest": DIGEST, "method": "linear", "bytes": 3},
        ],
        "warnings": ["density 0.9 is above the share of entries that are not zero: nothing is trimmed"],
    },
    "failure": {"cause": "Diverged", "message": "m", "remedy": "r", "rank": 0, "findings": [FINDING]},
}
STAGE_STATUS = {
    "name": "sft",
    "state": "Waiting",
    "digest": DIGEST,
    "attempt": 1,
    "failures": 1,
    "forgivenAttempt": 1,
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
    "warnings": WARNINGS,
    "goodput": "59%",
    "time": STAGE_TIME,
    "endedTime": STAGE_TIME,
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
    "retryToken": "1",
    "mergeMethod": "ties",
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
        "reportConfigMap": {"name": "complete-report", "accessDirectory": "/run/api-access"},
        "terminationPath": "/dev/termination-log",
        "scratchDirectory": "/scratch",
        "cacheDirectory": "/cache",
        "baseCache": {"directory": "/node-cache", "maxBytes": 1000},
        "credentials": [{"secretName": "s3", "directory": "/run/secrets/s3"}],
    }
    return {
        stage: {
            "identity": IDENTITY | {"stage": stage},
            "base": spec["base"],
            "storage": spec["storage"],
            "baseDigest": DIGEST,
            "stageDigest": DIGEST,
            "reachedStep": 4,
            "stopGraceSeconds": 30,
            stage: block,
        }
        | paths
        for stage, block in blocks.items()
    }

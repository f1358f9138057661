"""RunSpecs of arms on tiny models, for tests."""

import json
import random
from pathlib import Path
from typing import Any

from paft_api.run_spec import RunSpec
from paft_trainer.base.index import index_base
from paft_trainer.storage.file_store import FileStore, uri_of

STAGE_DIGESTS = {"sft": "sha256:" + "5" * 64, "preference": "sha256:" + "d" * 64}


def write_sums(folder: Path, *, rows: int = 48) -> tuple[Path, Path]:
    """SFT chats and preference pairs about small sums."""
    numbers = random.Random(0)
    chats, pairs = folder / "chats.jsonl", folder / "pairs.jsonl"
    with chats.open("w") as chat_file, pairs.open("w") as pair_file:
        for _ in range(rows):
            a, b = numbers.randint(1, 50), numbers.randint(1, 50)
            question = {"role": "user", "content": f"{a}+{b}="}
            right, wrong = ({"role": "assistant", "content": str(a + b + error)} for error in (0, 1))
            chat_file.write(json.dumps({"messages": [question, right]}) + "\n")
            pair_file.write(json.dumps({"prompt": [question], "chosen": [right], "rejected": [wrong]}) + "\n")
    return chats, pairs


def arm_run_spec(
    stage: str,
    *,
    base: Path,
    data: Path,
    artifacts: Path,
    processes: int = 1,
    nodes: int = 1,
    node: int = 0,
    attempt: int = 1,
    training: dict[str, Any] | None = None,
    l1: dict[str, Any] | None = None,
    dpo: dict[str, Any] | None = None,
    orpo: dict[str, Any] | None = None,
    lora: dict[str, Any] | None = None,
    stage_digest: str | None = None,
    evaluation: Path | None = None,
) -> RunSpec:
    """One attempt at an arm; four rows per step, whatever the number of processes.

    `processes`: on each node. `node`: whose folders these are.
    """
    settings = {
        "globalBatchSize": 4,
        "microBatchSize": 2,
        "maxLength": 64,
        "warmupRatio": 0,
        "learningRate": 1e-2,
        "saveSteps": 1000,
        "evalSteps": 1000,
    } | (training or {})
    form = "messages" if stage == "sft" else "preference"
    spec: dict[str, Any] = {
        "data": {
            "train": [{"uri": uri_of(data), "format": form}],
            "eval": [{"uri": uri_of(evaluation), "format": form}] if evaluation is not None else [],
        },
        "training": settings,
        "lora": {"r": 4} | (lora or {}),
        "resources": {"nodes": nodes, "gpusPerNode": 0, "processesPerNode": processes},
    }
    if l1 is not None:
        spec["l1"] = l1
    if dpo is not None:
        spec["dpo"] = dpo
    if orpo is not None:
        spec |= {"method": "orpo", "orpo": orpo}
    scratch = artifacts / f"scratch-{stage}-{attempt}-{node}"
    scratch.mkdir(parents=True, exist_ok=True)
    accumulation = settings["globalBatchSize"] // (settings["microBatchSize"] * processes * nodes)
    document = {
        "identity": {
            "jobName": "test",
            "jobNamespace": "default",
            "jobUid": "uid",
            "generation": 1,
            "stage": stage,
            "attempt": attempt,
        },
        "base": {"uri": uri_of(base) + "/"},
        "storage": {"artifactsUri": uri_of(artifacts) + "/"},
        "baseDigest": index_base(FileStore(), uri_of(base) + "/", None).digest,
        "stageDigest": stage_digest or STAGE_DIGESTS[stage],
        "reportPath": str(scratch / "report.json"),
        "terminationPath": str(scratch / "termination.json"),
        "scratchDirectory": str(scratch),
        "cacheDirectory": str(artifacts / f"cache-{node}"),
        stage: {
            "spec": spec,
            "world": {
                "nodes": nodes,
                "processesPerNode": processes,
                "device": "cpu",
                "gradientAccumulationSteps": accumulation,
                "threadsPerProcess": 1,
            },
        },
    }
    return RunSpec.model_validate_json(json.dumps(document))

"""The merges that are measured, as the stage of a job runs them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.merge_load.measured_run import python_module

DENSITY = 0.5


@dataclass(frozen=True, kw_only=True)
class Merge:
    """One merge. `options`: of spec.merge, as in a job. `candidates`: merges beside it, in the same pass."""

    name: str
    options: Mapping[str, Any]
    candidates: tuple[Mapping[str, Any], ...] = field(default=())

    @property
    def checkpoints(self) -> int:
        """Checkpoints that it writes."""
        return 1 + len(self.candidates)


LINEAR = Merge(name="linear", options={"method": "linear"})
TIES = Merge(name="ties", options={"method": "ties", "density": DENSITY})
TIES_MODEL = Merge(name="ties, whole model", options={"method": "ties", "density": DENSITY, "densityScope": "Model"})
DARE_TIES = Merge(name="dare_ties", options={"method": "dare_ties", "density": DENSITY, "seed": 0})
DELLA = Merge(name="della", options={"method": "della", "density": DENSITY, "seed": 0})
SCE = Merge(name="sce", options={"method": "sce", "density": DENSITY})
SLERP = Merge(name="slerp", options={"method": "slerp"})
SWEEP = Merge(
    name="sweep of 8",
    options=TIES.options,
    candidates=(
        {"name": "ties-30", "method": "ties", "density": 0.3},
        {"name": "ties-70", "method": "ties", "density": 0.7},
        {"name": "ties-light", "method": "ties", "density": DENSITY, "weights": [{"sft": 1.0, "preference": 0.6}]},
        {"name": "linear", "method": "linear"},
        {"name": "sum-half", "method": "task_arithmetic", "lambda": 0.5},
        {"name": "dare-0", "method": "dare_ties", "density": DENSITY, "seed": 0},
        {"name": "dare-1", "method": "dare_ties", "density": DENSITY, "seed": 1},
    ),
)
WITH_GOALS = (LINEAR, TIES, TIES_MODEL, DARE_TIES)
OTHERS = (DELLA, SCE, SLERP)


def run_spec(merge: Merge, models: str, output: str, artifacts: str, *, attempt: Path, endpoint: str | None) -> str:
    """The stage's run spec as JSON. `models`: URI of the folder with base, sft and preference. `attempt`: a folder."""
    spec = {**merge.options, "output": {"uri": output}}
    if merge.candidates:
        spec["candidates"] = [dict(candidate) for candidate in merge.candidates]
    document = {
        "identity": {
            "jobName": "benchmark",
            "jobNamespace": "default",
            "jobUid": "benchmark",
            "generation": 1,
            "stage": "merge",
            "attempt": 1,
        },
        "base": {"uri": f"{models}base/"},
        "storage": {"artifactsUri": artifacts} | ({} if endpoint is None else {"endpoint": endpoint}),
        "reportPath": str(attempt / "report.json"),
        "terminationPath": str(attempt / "termination.json"),
        "scratchDirectory": str(attempt / "scratch"),
        # One for all attempts, as it is for the pods of a node: kernels are kept there.
        "cacheDirectory": str(attempt.parent / "cache"),
        "merge": {
            "spec": spec,
            "sft": {"uri": f"{models}sft/"},
            "preference": {"uri": f"{models}preference/"},
        },
    }
    return json.dumps(document)


def merge_command(run_spec_file: Path) -> list[str]:
    """What a pod runs, and what `paft merge` starts."""
    return python_module("paft_trainer", "merge", "--run-spec", str(run_spec_file))


def counted_merge_command(run_spec_file: Path, counts: Path) -> list[str]:
    """The same with every byte counted by what it belongs to."""
    return python_module("benchmarks.merge_load.counted_merge", str(run_spec_file), str(counts))

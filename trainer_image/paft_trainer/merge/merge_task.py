"""One merge stage: what it works on, the merges it is to write, and how each is finished."""

import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from paft_api.digests import file_set_digest
from paft_api.run_spec import MergeRun, RunSpec
from paft_api.spec.merge import MergeOptions
from paft_trainer.merge.inputs import MergeInputs
from paft_trainer.merge.output import OutputFolder
from paft_trainer.merge.saved_tensors import Replacement
from paft_trainer.storage import ObjectStore

if TYPE_CHECKING:
    from paft_trainer.reporting import Reporter

_VERSIONED = ("paft", "numba", "numpy", "safetensors", "torch")


@dataclass(frozen=True, kw_only=True, slots=True)
class MergeTask:
    """What a stage was told, and what it has read."""

    store: ObjectStore
    run_spec: RunSpec
    merge: MergeRun
    inputs: MergeInputs
    reporter: "Reporter"


@dataclass(kw_only=True, slots=True)
class PlannedMerge:
    """One of the merges of a job, and its folder. `replaced`: tensors that come from an adapter as they are.

    `finished`: its manifest, once there is one; `adopted`: whether that was there already.
    """

    options: MergeOptions
    output: OutputFolder
    recipe: dict[str, Any]
    replaced: Mapping[str, Replacement]
    finished: dict[str, Any] | None
    adopted: bool
    warnings: list[str] = field(default_factory=list)

    def take_warnings(self, report: Mapping[str, Any]) -> None:
        """Those of an interference report."""
        self.warnings = list(report["warnings"])

    def finish(self, *, claimed_digest: str, merged_tensors: int, copied_tensors: int) -> None:
        """Write the manifest, after everything else."""
        self.finished = self.recipe | {
            "kind": "merge",
            "claimedDigest": claimed_digest,
            "digest": file_set_digest({name: entry["sha256"] for name, entry in self.output.files.items()}),
            "files": self.output.files,
            "mergedTensors": merged_tensors,
            "copiedTensors": copied_tensors,
            "replacedTensors": {name: one.to_document() for name, one in sorted(self.replaced.items())},
            "versions": {name: importlib.metadata.version(name) for name in _VERSIONED},
        }
        self.output.write_manifest(self.finished)
        self.output.forget_shard_records()

"""The course of a merge: read and check, claim, write, and the manifest last."""

import importlib.metadata
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from paft_api.digests import file_set_digest
from paft_api.layout import candidate_folder
from paft_api.report import Activity, FinishedArtifact, MergeCandidateResult, MergeResult
from paft_api.run_spec import MergeRun, RunSpec
from paft_api.spec.merge import MergeCandidate, MergeOptions
from paft_trainer.base_index import base_digest as base_digest_of
from paft_trainer.base_index import hash_identity_files
from paft_trainer.merge.available_arithmetic import available_arithmetic
from paft_trainer.merge.base_hashes import BaseHashes
from paft_trainer.merge.checkpoint import CheckpointWriter, Fusion
from paft_trainer.merge.inputs import MergeInputs, read_inputs
from paft_trainer.merge.interference import interference_report
from paft_trainer.merge.methods import method_of
from paft_trainer.merge.output import OutputFolder
from paft_trainer.merge.progress import MergeProgress
from paft_trainer.merge.recipe import claim_output, make_recipe, with_base_digest
from paft_trainer.merge.shards import Shard, SourceTensor, plan_shards
from paft_trainer.merge.tensor_arms import arms_of_tensors
from paft_trainer.merge.warm_up import begin_warm_up
from paft_trainer.peak_memory import peak_memory_bytes
from paft_trainer.storage import ObjectStore, open_store

if TYPE_CHECKING:
    from paft_trainer.reporting import Reporter

MOST_WARNINGS = 20
_VERSIONED = ("paft", "numba", "numpy", "safetensors", "torch")


@dataclass(kw_only=True)
class PlannedMerge:
    """One of the merges of a job, and its folder. `finished`: its manifest, once there is one; `adopted`: whether that
    was there already."""

    options: MergeOptions
    output: OutputFolder
    recipe: dict[str, Any]
    finished: dict[str, Any] | None
    adopted: bool
    warnings: list[str]


def run(run_spec: RunSpec, reporter: "Reporter") -> MergeResult:
    """Merge and publish. Started again after an interruption it writes the same bytes. Raises StageError."""
    assert run_spec.merge is not None
    started = time.monotonic()
    store = open_store(run_spec.storage, on_wait=lambda message: print(message, flush=True))
    reporter.update(activity=Activity.CHECKING)
    begin_warm_up((run_spec.merge.spec, *run_spec.merge.spec.candidates), available_arithmetic())
    inputs = read_inputs(store, run_spec, run_spec.merge)
    planned = [
        _plan(store, run_spec, run_spec.merge, options, inputs)
        for options in (run_spec.merge.spec, *run_spec.merge.spec.candidates)
    ]
    missing = [one for one in planned if one.finished is None]
    if missing:
        _write(store, run_spec, run_spec.merge, inputs, missing, reporter)
    return _result(planned, seconds=time.monotonic() - started)


def _plan(
    store: ObjectStore, run_spec: RunSpec, merge: MergeRun, options: MergeOptions, inputs: MergeInputs
) -> PlannedMerge:
    """Claim a merge's folder, and see whether somebody has filled it."""
    folder = merge.spec.output.uri
    if isinstance(options, MergeCandidate):
        folder = candidate_folder(folder, options.name)
    output = OutputFolder(store, folder)
    recipe = claim_output(store, run_spec, folder, make_recipe(run_spec, merge, options, inputs))
    finished = output.find_manifest()
    return PlannedMerge(
        options=options, output=output, recipe=recipe, finished=finished, adopted=finished is not None, warnings=[]
    )


def _write(
    store: ObjectStore,
    run_spec: RunSpec,
    merge: MergeRun,
    inputs: MergeInputs,
    planned: Sequence[PlannedMerge],
    reporter: "Reporter",
) -> None:
    """Write everything; `config.json` after the weights, so that stock readers see nothing half-written."""
    shards = plan_shards(inputs.base.tensors, max_shard_bytes=merge.spec.output.max_shard_bytes)
    fusions = [
        Fusion(
            method=method_of(one.options),
            arms=arms_of_tensors(one.options, inputs),
            output=one.output,
            recipe_digest=one.recipe["recipeDigest"],
        )
        for one in planned
    ]
    for one in planned:
        one.output.find_shards(one.recipe["recipeDigest"])
    known = {name: sha256 for one in planned for name, sha256 in one.output.base_hashes.items()}
    with BaseHashes(known) as hashes:
        writer = CheckpointWriter(
            store=store,
            arithmetic=available_arithmetic(),
            merged=inputs.merged_names,
            progress=MergeProgress(reporter, inputs.base.tensors, done=_written(shards, planned)).advance,
            hashes=hashes if inputs.base_digest is None else None,
        )
        writer.write(shards, fusions)
    base_digest = inputs.base_digest or _digest_of_base(store, run_spec.base.uri, inputs, hashes.sha256)
    reporter.update(activity=Activity.PUBLISHING)
    for one, fusion in zip(planned, fusions, strict=True):
        one.recipe = with_base_digest(one.recipe, run_spec, merge, one.options, inputs, base_digest)
        _publish(run_spec, inputs, shards, one, fusion)


def _written(shards: Sequence[Shard], planned: Sequence[PlannedMerge]) -> list[SourceTensor]:
    """Tensors that an interrupted run has written for all merges."""
    return [
        tensor
        for shard in shards
        if all(one.output.has_shard(shard.name) for one in planned)
        for tensor in shard.tensors
    ]


def _digest_of_base(store: ObjectStore, base_uri: str, inputs: MergeInputs, sha256: Mapping[str, str]) -> str:
    tensors = {
        tensor.entry.name: [tensor.entry.dtype, list(tensor.entry.shape), sha256[tensor.entry.name]]
        for tensor in inputs.base.tensors
    }
    return base_digest_of(tensors, hash_identity_files(store, base_uri, inputs.base.files.others))


def _publish(
    run_spec: RunSpec, inputs: MergeInputs, shards: Sequence[Shard], planned: PlannedMerge, fusion: Fusion
) -> None:
    output = planned.output
    report = interference_report(planned.options, [fusion.figures[name] for name in sorted(fusion.figures)])
    planned.warnings = report["warnings"]
    output.copy_base_files(run_spec.base, inputs.base.files.others)
    output.write_interference(report)
    output.write_card(planned.recipe)
    output.write_index(shards)
    output.copy_configuration(run_spec.base.uri)
    merged = len(inputs.merged_names)
    planned.finished = planned.recipe | {
        "kind": "merge",
        "claimedDigest": fusion.recipe_digest,
        "digest": file_set_digest({name: entry["sha256"] for name, entry in output.files.items()}),
        "files": output.files,
        "mergedTensors": merged,
        "copiedTensors": len(inputs.base.tensors) - merged,
        "versions": {name: importlib.metadata.version(name) for name in _VERSIONED},
    }
    output.write_manifest(planned.finished)
    output.forget_shard_records()


def _result(planned: Sequence[PlannedMerge], *, seconds: float) -> MergeResult:
    main, *candidates = planned
    assert main.finished is not None
    return MergeResult(
        artifact=_artifact(main),
        recipe_digest=_recipe_digest(main),
        method=main.options.method,
        merged_tensors=main.finished["mergedTensors"],
        copied_tensors=main.finished["copiedTensors"],
        bytes=_bytes(main),
        seconds=seconds,
        peak_memory_bytes=peak_memory_bytes(),
        adopted=all(one.adopted for one in planned),
        candidates=tuple(
            MergeCandidateResult(
                name=one.options.name,
                artifact=_artifact(one),
                recipe_digest=_recipe_digest(one),
                method=one.options.method,
                bytes=_bytes(one),
            )
            for one in candidates
            if isinstance(one.options, MergeCandidate)
        ),
        warnings=tuple(main.warnings[:MOST_WARNINGS]),
    )


def _artifact(planned: PlannedMerge) -> FinishedArtifact:
    assert planned.finished is not None
    return FinishedArtifact(uri=planned.output.uri, digest=planned.finished["digest"])


def _recipe_digest(planned: PlannedMerge) -> str:
    assert planned.finished is not None
    return str(planned.finished["recipeDigest"])


def _bytes(planned: PlannedMerge) -> int:
    assert planned.finished is not None
    return sum(entry["size"] for entry in planned.finished["files"].values())

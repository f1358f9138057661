"""The course of a merge: read and check, claim, write, and the manifest last."""

import importlib.metadata
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from paft_api.digests import file_set_digest
from paft_api.report import Activity, FinishedArtifact, MergeResult
from paft_api.run_spec import MergeRun, RunSpec
from paft_trainer.merge.inputs import MergeInputs, read_inputs
from paft_trainer.merge.output import COPY_BYTES, OutputFolder
from paft_trainer.merge.recipe import claim_output, make_recipe
from paft_trainer.merge.shards import Shard, SourceTensor, plan_shards
from paft_trainer.merge.tensors import ArmDelta, merged_tensor
from paft_trainer.peak_memory import peak_memory_bytes
from paft_trainer.safetensors_files import encode_header, read_chunks
from paft_trainer.storage import ObjectStore, open_store

if TYPE_CHECKING:
    from paft_trainer.reporting import Reporter

_VERSIONED = ("paft", "torch", "safetensors")


def run(run_spec: RunSpec, reporter: "Reporter") -> MergeResult:
    """Merge and publish. Started again after an interruption it writes the same bytes. Raises StageError."""
    assert run_spec.merge is not None
    started = time.monotonic()
    store = open_store(run_spec.storage, on_wait=lambda message: print(message, flush=True))
    reporter.update(activity=Activity.CHECKING)
    inputs = read_inputs(store, run_spec, run_spec.merge)
    output = OutputFolder(store, run_spec.merge.spec.output.uri)
    recipe = claim_output(store, run_spec, output.uri, make_recipe(run_spec, run_spec.merge, inputs))
    finished = output.find_manifest()
    adopted = finished is not None
    if finished is None:
        finished = _write(store, run_spec, run_spec.merge, inputs, recipe, output, reporter)
    return MergeResult(
        artifact=FinishedArtifact(uri=output.uri, digest=finished["digest"]),
        recipe_digest=recipe["recipeDigest"],
        method=run_spec.merge.spec.method,
        merged_tensors=finished["mergedTensors"],
        copied_tensors=finished["copiedTensors"],
        bytes=sum(entry["size"] for entry in finished["files"].values()),
        seconds=time.monotonic() - started,
        peak_memory_bytes=peak_memory_bytes(),
        adopted=adopted,
    )


def _write(
    store: ObjectStore,
    run_spec: RunSpec,
    merge: MergeRun,
    inputs: MergeInputs,
    recipe: dict[str, Any],
    output: OutputFolder,
    reporter: "Reporter",
) -> dict[str, Any]:
    """Write everything; `config.json` after the weights, so that stock readers see nothing half-written."""
    shards = plan_shards(inputs.base.tensors, max_shard_bytes=merge.spec.output.max_shard_bytes)
    progress = _TensorProgress(reporter, total=len(inputs.base.tensors))
    for shard in shards:
        output.write(shard.name, _shard_bytes(store, shard, inputs, merge, progress))
    reporter.update(activity=Activity.PUBLISHING)
    output.copy_base_files(run_spec.base, inputs.base.files.others)
    output.write_card(recipe)
    output.write_index(shards)
    output.copy_configuration(run_spec.base.uri)
    merged = len(inputs.merged_names)
    manifest = recipe | {
        "kind": "merge",
        "digest": file_set_digest({name: entry["sha256"] for name, entry in output.files.items()}),
        "files": output.files,
        "mergedTensors": merged,
        "copiedTensors": len(inputs.base.tensors) - merged,
        "versions": {name: importlib.metadata.version(name) for name in _VERSIONED},
    }
    output.write_manifest(manifest)
    return manifest


def _shard_bytes(
    store: ObjectStore, shard: Shard, inputs: MergeInputs, merge: MergeRun, progress: "_TensorProgress"
) -> Iterator[bytes]:
    described = [(tensor.entry.name, tensor.entry.dtype, tensor.entry.shape) for tensor in shard.tensors]
    yield encode_header(described, metadata={"format": "pt"})
    merged_names = inputs.merged_names
    for tensor in shard.tensors:
        if tensor.entry.name in merged_names:
            yield from merged_tensor(store, tensor.uri, tensor.entry, _arms(tensor, inputs, merge), merge.spec)
        else:
            entry = tensor.entry
            yield from read_chunks(store, tensor.uri, entry.start, entry.size, chunk_bytes=COPY_BYTES)
        progress.advance()


def _arms(tensor: SourceTensor, inputs: MergeInputs, merge: MergeRun) -> list[ArmDelta]:
    module = tensor.entry.name.removesuffix(".weight")
    weights = merge.spec.weights[0]
    return [
        ArmDelta(factors=inputs.adapters[arm].modules.get(module), weight=weight, arm=arm)
        for arm, weight in (("sft", weights.sft), ("preference", weights.preference))
    ]


class _TensorProgress:
    def __init__(self, reporter: "Reporter", *, total: int) -> None:
        self._reporter = reporter
        self._total = total
        self._done = 0
        self._report()

    def advance(self) -> None:
        self._done += 1
        self._report()

    def _report(self) -> None:
        self._reporter.update(activity=Activity.MERGING, step=self._done, total_steps=self._total)

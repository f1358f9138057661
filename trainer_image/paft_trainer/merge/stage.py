"""The course of a merge: read and check, claim, write, and the manifest last."""

import importlib.metadata
import json
import resource
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from paft_api.digests import file_set_digest, recipe_digest
from paft_api.layout import MERGE_MANIFEST_FILE
from paft_api.report import Activity, FinishedArtifact, MergeResult
from paft_api.run_spec import MergeRun, RunSpec
from paft_trainer.adapters import Adapter, read_adapter
from paft_trainer.base_index import index_base
from paft_trainer.errors import ArtifactMismatch
from paft_trainer.merge.inputs import BaseTensors, check_fit, open_base
from paft_trainer.merge.output import OutputFolder
from paft_trainer.merge.shards import Shard, SourceTensor, plan_shards
from paft_trainer.merge.tensors import ArmDelta, merged_tensor
from paft_trainer.publishing import claim_folder
from paft_trainer.safetensors_files import encode_header, read_chunks
from paft_trainer.storage import ObjectStore, open_store

if TYPE_CHECKING:
    from paft_trainer.reporting import Reporter

FORMAT_VERSION = 1
COPY_BYTES = 16 * 1024 * 1024


def run(run_spec: RunSpec, reporter: "Reporter") -> MergeResult:
    """Merge and publish. Started again after an interruption it writes the same bytes. Raises StageError."""
    assert run_spec.merge is not None
    started = time.monotonic()
    store = open_store(run_spec.storage, on_wait=lambda message: print(message, flush=True))
    reporter.update(activity=Activity.CHECKING)
    base_digest = run_spec.base_digest or index_base(store, run_spec.base.uri, None).digest
    adapters = _read_adapters(store, run_spec.merge, base_digest)
    base = open_base(store, run_spec.base.uri)
    check_fit(base, adapters)
    recipe = _recipe(run_spec, run_spec.merge, base_digest, adapters)
    output = OutputFolder(store, run_spec.merge.spec.output.uri)
    _claim(store, run_spec, output.uri, recipe)
    finished = _finished(store, output.uri)
    if finished is None:
        finished = _write(store, run_spec, run_spec.merge, base, adapters, recipe, output, reporter)
        adopted = False
    else:
        adopted = True
    return MergeResult(
        artifact=FinishedArtifact(uri=output.uri, digest=finished["digest"]),
        recipe_digest=recipe["recipeDigest"],
        method=run_spec.merge.spec.method,
        merged_tensors=finished["mergedTensors"],
        copied_tensors=finished["copiedTensors"],
        bytes=sum(entry["size"] for entry in finished["files"].values()),
        seconds=time.monotonic() - started,
        peak_memory_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        adopted=adopted,
    )


def _read_adapters(store: ObjectStore, merge: MergeRun, base_digest: str) -> dict[str, Adapter]:
    return {
        name: read_adapter(store, reference.uri, expected_base_digest=base_digest, expected_digest=reference.digest)
        for name, reference in (("sft", merge.sft), ("preference", merge.preference))
    }


def _recipe(run_spec: RunSpec, merge: MergeRun, base_digest: str, adapters: dict[str, Adapter]) -> dict[str, Any]:
    """What the output is made from, as kept in its claim and manifest."""
    digest = recipe_digest(
        merge.spec,
        base_digest=base_digest,
        sft_adapter=adapters["sft"].digest,
        preference_adapter=adapters["preference"].digest,
    )
    return {
        "formatVersion": FORMAT_VERSION,
        "recipeDigest": digest,
        "base": {"uri": run_spec.base.uri, "digest": base_digest},
        "adapters": {name: {"uri": adapter.uri, "digest": adapter.digest} for name, adapter in adapters.items()},
        "merge": merge.spec.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"resources"}),
    }


def _claim(store: ObjectStore, run_spec: RunSpec, folder: str, recipe: dict[str, Any]) -> None:
    held = claim_folder(
        store,
        folder,
        recipe,
        manifest_name=MERGE_MANIFEST_FILE,
        allow_unconditional=run_spec.storage.allow_unconditional_publish,
    )
    if held["recipeDigest"] != recipe["recipeDigest"]:
        raise ArtifactMismatch(
            f"{folder} belongs to another recipe ({held['recipeDigest']}); this one is {recipe['recipeDigest']}",
            remedy="Choose another merge.output.uri, or delete that folder if nobody needs it.",
        )


def _finished(store: ObjectStore, folder: str) -> dict[str, Any] | None:
    if store.head(folder + MERGE_MANIFEST_FILE) is None:
        return None
    manifest: dict[str, Any] = json.loads(store.read(folder + MERGE_MANIFEST_FILE))
    return manifest


def _write(
    store: ObjectStore,
    run_spec: RunSpec,
    merge: MergeRun,
    base: BaseTensors,
    adapters: dict[str, Adapter],
    recipe: dict[str, Any],
    output: OutputFolder,
    reporter: "Reporter",
) -> dict[str, Any]:
    """Write everything; `config.json` after the weights, so that stock readers see nothing half-written."""
    shards = plan_shards(base.tensors, max_shard_bytes=merge.spec.output.max_shard_bytes)
    progress = _TensorProgress(reporter, total=len(base.tensors))
    for shard in shards:
        output.write(shard.name, _shard_bytes(store, shard, adapters, merge, progress))
    reporter.update(activity=Activity.PUBLISHING)
    output.copy_base_files(run_spec.base, base.files.others)
    output.write_card(run_spec.base.uri, merge.spec, recipe, adapters)
    output.write_index(shards)
    output.copy(run_spec.base.uri, "config.json")
    merged = _merged_names(adapters)
    manifest = recipe | {
        "writer": f"paft {importlib.metadata.version('paft')}",
        "digest": file_set_digest({name: entry["sha256"] for name, entry in output.files.items()}),
        "mergedTensors": sum(tensor.entry.name in merged for tensor in base.tensors),
        "copiedTensors": sum(tensor.entry.name not in merged for tensor in base.tensors),
        "files": output.files,
    }
    store.put(output.uri + MERGE_MANIFEST_FILE, json.dumps(manifest, indent=1, sort_keys=True).encode())
    return manifest


def _shard_bytes(
    store: ObjectStore, shard: Shard, adapters: dict[str, Adapter], merge: MergeRun, progress: "_TensorProgress"
) -> Iterator[bytes]:
    described = [(tensor.entry.name, tensor.entry.dtype, tensor.entry.shape) for tensor in shard.tensors]
    yield encode_header(described, metadata={"format": "pt"})
    for tensor in shard.tensors:
        yield from _tensor_bytes(store, tensor, adapters, merge)
        progress.advance()


def _tensor_bytes(
    store: ObjectStore, tensor: SourceTensor, adapters: dict[str, Adapter], merge: MergeRun
) -> Iterator[bytes]:
    if tensor.entry.name not in _merged_names(adapters):
        return read_chunks(store, tensor.uri, tensor.entry.start, tensor.entry.size, chunk_bytes=COPY_BYTES)
    module = tensor.entry.name.removesuffix(".weight")
    weights = merge.spec.weights[0]
    arms = [
        ArmDelta(factors=adapters["sft"].modules.get(module), weight=weights.sft),
        ArmDelta(factors=adapters["preference"].modules.get(module), weight=weights.preference),
    ]
    return merged_tensor(store, tensor.uri, tensor.entry, arms, merge.spec)


def _merged_names(adapters: dict[str, Adapter]) -> set[str]:
    return {f"{module}.weight" for adapter in adapters.values() for module in adapter.modules}


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

"""What a merge reads, checked against one another from headers and factors before the base's weights are read."""

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from paft_api.run_spec import MergeRun, RunSpec
from paft_trainer.adapters import Adapter, read_adapter, require_base
from paft_trainer.base.identity import listing_digest
from paft_trainer.base.index import index_base
from paft_trainer.base.kept_index import BaseIndex, read_pieces
from paft_trainer.base.piece_index import PieceIndex
from paft_trainer.checkpoint_files import CheckpointFiles, find_checkpoint_files, require_index
from paft_trainer.errors import ArtifactMismatch, ConfigInvalid
from paft_trainer.foreign_documents import shown
from paft_trainer.merge.arithmetic import DTYPES
from paft_trainer.merge.saved_tensors import check_base_layers, check_saved_tensors
from paft_trainer.merge.shards import SourceTensor
from paft_trainer.safetensors_files import TensorEntry, read_header
from paft_trainer.storage import ObjectStore

CONFIGURATION_FILE = "config.json"
LARGEST_DELTA = 2.0**100
"""Largest entry of a ΔW: whatever it is multiplied with, fp32 has room for it. What overflows could be merged as 0."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BaseTensors:
    """The base's files and tensors, in the order of files and bytes. `tied`: its head is the embedding."""

    files: CheckpointFiles
    tensors: tuple[SourceTensor, ...]
    tied: bool

    @property
    def entries(self) -> dict[str, TensorEntry]:
        """By name."""
        return {tensor.entry.name: tensor.entry for tensor in self.tensors}


@dataclass(frozen=True, kw_only=True, slots=True)
class MergeInputs:
    """All that goes into a merge. `adapters`: by arm.

    `base_digest`: of the base's content, where it is known or matters before the base is read; else None, and
    `listing_digest`, over its files' addresses, sizes and ETags, says which base it is until it has been read. `index`
    and `pieces`: by which its bytes are verified when they are read, where its digest is known from them.
    """

    base: BaseTensors
    base_digest: str | None
    listing_digest: str
    adapters: dict[str, Adapter]
    index: BaseIndex | None = None
    pieces: PieceIndex | None = None

    @property
    def merged_names(self) -> frozenset[str]:
        """The tensors that get a delta."""
        return frozenset(f"{module}.weight" for adapter in self.adapters.values() for module in adapter.modules)

    @property
    def changed_names(self) -> frozenset[str]:
        """Those of them whose delta is not 0 in both arms."""
        return frozenset(
            f"{module}.weight"
            for adapter in self.adapters.values()
            for module, factors in adapter.modules.items()
            if not factors.is_zero
        )


def read_inputs(store: ObjectStore, run_spec: RunSpec, merge: MergeRun) -> MergeInputs:
    """Read adapters and headers. Raises ArtifactMismatch or ConfigInvalid for whatever does not belong together.

    The base's weights are read here, to tell their digest, only for a fused checkpoint where an adapter names the one
    it was trained on and nobody did so before, and last.
    """
    inputs = read_headers(store, run_spec, merge)
    if not needs_base_digest(run_spec, inputs):
        return inputs
    index = index_base(store, run_spec.base.uri, run_spec.storage.artifacts_uri)
    require_prepared(run_spec, index.digest)
    pieces = read_pieces(store, run_spec.storage.artifacts_uri, index)
    for tensor in inputs.base.tensors:
        _require_indexed(tensor, pieces)
    return replace(with_base(inputs, index.digest), index=index, pieces=pieces)


def read_headers(store: ObjectStore, run_spec: RunSpec, merge: MergeRun) -> MergeInputs:
    """The same as far as it goes without the base's weights and their digest."""
    adapters = {
        name: read_adapter(
            store, reference.uri, expected_base_digest=run_spec.base_digest, expected_digest=reference.digest
        )
        for name, reference in (("sft", merge.sft), ("preference", merge.preference))
    }
    require_one_base(adapters)
    base = open_base(store, run_spec.base.uri)
    check_fit(base, adapters)
    check_base_layers(store, {tensor.entry.name: tensor for tensor in base.tensors}, adapters)
    listing = _listing_digest(store, run_spec.base.uri, base.files)
    return MergeInputs(base=base, base_digest=None, listing_digest=listing, adapters=adapters)


def needs_base_digest(run_spec: RunSpec, inputs: MergeInputs) -> bool:
    """Whether the job or an adapter names a base, so that the one at hand must be compared with it."""
    assert run_spec.merge is not None
    names_base = any(one.base_digest is not None for one in inputs.adapters.values())
    return run_spec.base_digest is not None or (run_spec.merge.spec.output.form == "Full" and names_base)


def with_base(inputs: MergeInputs, base_digest: str) -> MergeInputs:
    """The inputs with a base of this content. Raises ArtifactMismatch where an adapter was trained on another one."""
    for adapter in inputs.adapters.values():
        require_base(adapter, base_digest)
    return replace(inputs, base_digest=base_digest)


def open_base(store: ObjectStore, base_uri: str) -> BaseTensors:
    """Read config.json and all headers. Raises ArtifactMismatch where a tensor lies in two files."""
    files = find_checkpoint_files(store, base_uri)
    tensors: dict[str, SourceTensor] = {}
    for name in files.weights:
        uri = base_uri + name
        for entry in read_header(store, uri).entries:
            if entry.name in tensors:
                raise ArtifactMismatch(
                    f"{entry.name} lies in {tensors[entry.name].uri} and in {uri}", remedy="Upload the base again."
                )
            tensors[entry.name] = SourceTensor(uri=uri, entry=entry)
    if files.weight_map is not None:
        require_index(
            base_uri, files.weight_map, {name: one.uri.removeprefix(base_uri) for name, one in tensors.items()}
        )
    tied = _read_configuration(store, base_uri).get("tie_word_embeddings") is True
    return BaseTensors(files=files, tensors=tuple(tensors.values()), tied=tied)


def _require_indexed(tensor: SourceTensor, pieces: PieceIndex) -> None:
    """Raises ArtifactMismatch where a header tells of another tensor than the index."""
    entry, known = tensor.entry, pieces.tensors.get(tensor.entry.name)
    if known is None or (known.dtype, known.shape, known.start) != (entry.dtype, entry.shape, entry.start):
        raise ArtifactMismatch(
            f"{tensor.uri} has {shown(entry.name)} of {entry.dtype} and shape {list(entry.shape)}, "
            "which is not what was indexed",
            remedy="Check the base with paft verify; where it is damaged, upload it again, and start the job again.",
        )


def require_one_base(adapters: Mapping[str, Adapter]) -> None:
    """Raises ArtifactMismatch where manifests name two bases."""
    known = [(name, adapter) for name, adapter in adapters.items() if adapter.base_digest is not None]
    for (name, adapter), (other_name, other) in itertools.pairwise(known):
        if adapter.base_digest != other.base_digest:
            raise ArtifactMismatch(
                f"the {name} adapter {adapter.uri} was trained on the base {adapter.base_digest}, "
                f"the {other_name} adapter {other.uri} on {other.base_digest}",
                remedy="Merge adapters that were trained on one base.",
            )


def check_fit(base: BaseTensors, adapters: Mapping[str, Adapter]) -> None:
    """Every module of every adapter must be a matrix of the base with its shape. Raises ArtifactMismatch."""
    entries = base.entries
    check_saved_tensors(entries, adapters, tied=base.tied)
    for name, adapter in adapters.items():
        missing = [module for module in adapter.modules if f"{module}.weight" not in entries]
        if missing:
            raise _missing(name, adapter, missing)
        for module in adapter.modules:
            _check_module(f"the {name} adapter {adapter.uri}", adapter, module, base, entries[f"{module}.weight"])


def _missing(name: str, adapter: Adapter, missing: list[str]) -> ArtifactMismatch:
    count = f"{len(missing)} of its {len(adapter.modules)} modules"
    return ArtifactMismatch(
        f"the {name} adapter {adapter.uri} changes {missing[0]}, of which the base has no weight ({count} are unknown)",
        remedy="Merge adapters with the base they were trained on. A head tied to the embedding has no weight of its "
        "own: leave it out of targetModules.",
    )


def _check_module(who: str, adapter: Adapter, module: str, base: BaseTensors, entry: TensorEntry) -> None:
    shape = adapter.modules[module].shape
    if entry.shape != shape:
        raise ArtifactMismatch(
            f"{who} has a ΔW of shape {list(shape)} for {module}, but the base's weight is {list(entry.shape)}",
            remedy="Merge adapters with the base they were trained on.",
        )
    if entry.dtype not in DTYPES:
        raise ArtifactMismatch(
            f"{entry.name} of the base is {entry.dtype}, which cannot take a delta",
            remedy=f"Use a base in one of {', '.join(DTYPES)}.",
        )
    if not adapter.modules[module].bound < LARGEST_DELTA:
        raise ArtifactMismatch(
            f"{who} has factors of {module} whose product may be as large as {adapter.modules[module].bound:.1e}",
            remedy="Train the adapter again: its factors are far too large.",
        )
    if base.tied and module.split(".")[-1] == "lm_head":
        raise ArtifactMismatch(
            f"{who} changes {module}, but config.json ties the head to the embedding: readers would drop the change",
            remedy="Train the adapter without the head in targetModules.",
        )


def _listing_digest(store: ObjectStore, base_uri: str, files: CheckpointFiles) -> str:
    names = {*files.weights, *files.others}
    return listing_digest([info for info in store.list(base_uri) if info.uri.removeprefix(base_uri) in names])


def require_prepared(run_spec: RunSpec, base_digest: str) -> None:
    """Raises ArtifactMismatch where the job was prepared with another base."""
    if run_spec.base_digest not in (None, base_digest):
        raise ArtifactMismatch(
            f"{run_spec.base.uri} has the digest {base_digest}, but {run_spec.base_digest} was prepared",
            remedy="The base was changed after the job began; put it back, or start the job again.",
        )


def _read_configuration(store: ObjectStore, base_uri: str) -> dict[str, Any]:
    try:
        document = json.loads(store.read(base_uri + CONFIGURATION_FILE))
    except ValueError as error:
        raise ConfigInvalid(
            f"{base_uri}{CONFIGURATION_FILE} is no JSON: {error}", remedy="Upload the base again."
        ) from error
    if not isinstance(document, dict):
        raise ConfigInvalid(f"{base_uri}{CONFIGURATION_FILE} is no JSON object", remedy="Upload the base again.")
    return document

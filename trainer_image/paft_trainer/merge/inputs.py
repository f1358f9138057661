"""Base and adapters of a merge, checked against one another from headers and factors alone."""

from collections.abc import Mapping
from dataclasses import dataclass

from paft_trainer.adapters import Adapter
from paft_trainer.checkpoint_files import CheckpointFiles, find_checkpoint_files
from paft_trainer.errors import ArtifactMismatch
from paft_trainer.merge.shards import SourceTensor
from paft_trainer.merge.tensors import DTYPES
from paft_trainer.safetensors_files import read_header
from paft_trainer.storage import ObjectStore


@dataclass(frozen=True, kw_only=True, slots=True)
class BaseTensors:
    """The base's files and tensors, in the order of files and bytes."""

    files: CheckpointFiles
    tensors: tuple[SourceTensor, ...]


def open_base(store: ObjectStore, base_uri: str) -> BaseTensors:
    """Read all headers. Raises ArtifactMismatch where a tensor lies in two files."""
    files = find_checkpoint_files(store, base_uri)
    tensors: dict[str, SourceTensor] = {}
    for name in files.weights:
        uri = base_uri + name
        for entry in read_header(store, uri).entries:
            if entry.name in tensors:
                raise ArtifactMismatch(f"{entry.name} lies in {tensors[entry.name].uri} and in {uri}")
            tensors[entry.name] = SourceTensor(uri=uri, entry=entry)
    return BaseTensors(files=files, tensors=tuple(tensors.values()))


def check_fit(base: BaseTensors, adapters: Mapping[str, Adapter]) -> None:
    """Every module of every adapter must be a matrix of the base with its shape. Raises ArtifactMismatch."""
    entries = {tensor.entry.name: tensor.entry for tensor in base.tensors}
    for name, adapter in adapters.items():
        for module, factors in adapter.modules.items():
            entry = entries.get(f"{module}.weight")
            if entry is None:
                raise ArtifactMismatch(
                    f"the {name} adapter {adapter.uri} changes {module}, of which the base has no weight",
                    remedy="Merge adapters with the base they were trained on. A head tied to the embedding has "
                    "no weight of its own: leave it out of targetModules.",
                )
            if entry.shape != factors.shape:
                raise ArtifactMismatch(
                    f"the {name} adapter {adapter.uri} has a ΔW of shape {list(factors.shape)} for {module}, "
                    f"but the base's weight is {list(entry.shape)}",
                    remedy="Merge adapters with the base they were trained on.",
                )
            if entry.dtype not in DTYPES:
                raise ArtifactMismatch(
                    f"{module}.weight of the base is {entry.dtype}, which cannot take a delta",
                    remedy=f"Use a base in one of {', '.join(DTYPES)}.",
                )

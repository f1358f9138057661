"""Which tensors go into which file of the output: decided from headers, before any data is read."""

from collections.abc import Sequence
from dataclasses import dataclass

from paft_trainer.safetensors_files import TensorEntry


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceTensor:
    """A tensor of the base and the file it lies in."""

    uri: str
    entry: TensorEntry


@dataclass(frozen=True, kw_only=True, slots=True)
class Shard:
    """One output file."""

    name: str
    tensors: tuple[SourceTensor, ...]


def plan_shards(tensors: Sequence[SourceTensor], *, max_shard_bytes: int) -> tuple[Shard, ...]:
    """Fill files in order up to the limit; a tensor above it gets a file of its own. Names are transformers'."""
    groups: list[list[SourceTensor]] = [[]]
    filled = 0
    for tensor in tensors:
        if groups[-1] and filled + tensor.entry.size > max_shard_bytes:
            groups.append([])
            filled = 0
        groups[-1].append(tensor)
        filled += tensor.entry.size
    if len(groups) == 1:
        return (Shard(name="model.safetensors", tensors=tuple(groups[0])),)
    return tuple(
        Shard(name=f"model-{number:05d}-of-{len(groups):05d}.safetensors", tensors=tuple(group))
        for number, group in enumerate(groups, start=1)
    )

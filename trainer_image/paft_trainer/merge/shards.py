"""Which tensors go into which file of the output: decided from headers, before any data is read."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from paft_trainer.safetensors_files import DTYPE_BYTES, TensorEntry


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
    """Fill files up to the limit; a tensor above it gets a file of its own. Names are transformers'.

    The order is that of the tensors' names, whatever files the base has: one base, however it is cut, gives one output.
    """
    groups: list[list[SourceTensor]] = [[]]
    filled = 0
    for tensor in sorted(tensors, key=_natural_order):
        if groups[-1] and filled + tensor.entry.size > max_shard_bytes:
            groups.append([])
            filled = 0
        groups[-1].append(tensor)
        filled += tensor.entry.size
    shards = [tuple(sorted(group, key=_widest_first)) for group in groups]
    if len(shards) == 1:
        return (Shard(name="model.safetensors", tensors=shards[0]),)
    return tuple(
        Shard(name=f"model-{number:05d}-of-{len(shards):05d}.safetensors", tensors=shard)
        for number, shard in enumerate(shards, start=1)
    )


def _natural_order(tensor: SourceTensor) -> tuple[list[tuple[int, str]], str]:
    """Layer 2 before layer 10."""
    parts = re.split(r"([0-9]+)", tensor.entry.name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts], tensor.entry.name


def _widest_first(tensor: SourceTensor) -> int:
    # Readers map files into memory: after wide elements every tensor begins at a multiple of its element's size.
    return -DTYPE_BYTES[tensor.entry.dtype]

"""Merging a few whole layers by the merge's own means, with the bytes thrown away."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from paft_trainer.merge.available_arithmetic import available_arithmetic
from paft_trainer.merge.base_hashes import BaseHashes
from paft_trainer.merge.checkpoint import CheckpointWriter, Fusion
from paft_trainer.merge.inputs import MergeInputs
from paft_trainer.merge.interference import TensorFigures
from paft_trainer.merge.methods import method_of
from paft_trainer.merge.module_weights import layer_of
from paft_trainer.merge.output import OutputFolder
from paft_trainer.merge.shards import Shard, SourceTensor
from paft_trainer.merge.tensor_arms import arms_of_tensors, lengths_of_modules
from paft_trainer.merge.warm_up import warm_up
from paft_trainer.rehearsal.discarding_store import DiscardingStore
from paft_trainer.rehearsal.folders import PlannedFolder
from paft_trainer.storage import ObjectStore

Item = TypeVar("Item")

COPIED_BYTES = 64 * 1024 * 1024
"""Of one tensor that is copied: enough to see how fast that is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """`figures`: of each merge. Times in seconds, sizes in bytes of the base."""

    layers: tuple[int, ...]
    tensors: tuple[SourceTensor, ...]
    merged_bytes: int
    merged_seconds: float
    copied_bytes: int
    copied_seconds: float
    figures: tuple[tuple[TensorFigures, ...], ...]


def sampled_tensors(inputs: MergeInputs) -> tuple[tuple[int, ...], tuple[SourceTensor, ...]]:
    """First, middle and last layer that gets a delta, and all tensors in them that do; without layers three tensors."""
    merged = [tensor for tensor in inputs.base.tensors if tensor.entry.name in inputs.merged_names]
    layers = sorted({layer for tensor in merged if (layer := layer_of(tensor.entry.name)) is not None})
    if not layers:
        return (), tuple(_first_middle_last(merged))
    chosen = _first_middle_last(layers)
    return tuple(chosen), tuple(tensor for tensor in merged if layer_of(tensor.entry.name) in chosen)


def measure(store: ObjectStore, inputs: MergeInputs, merges: Sequence[PlannedFolder]) -> Measured:
    """Merge the sample by all of them, and copy a little. Raises StageError.

    Thresholds over the whole model are those of the sample: it is all that the writer sees.
    """
    layers, tensors = sampled_tensors(inputs)
    arithmetic = available_arithmetic()
    for dtype in sorted({tensor.entry.dtype for tensor in tensors}):
        warm_up([one.options for one in merges], arithmetic, dtype=dtype)
    discarding, lengths = DiscardingStore(store), lengths_of_modules(inputs)
    fusions = [
        Fusion(
            method=method_of(one.options),
            arms=arms_of_tensors(one.options, inputs, lengths),
            output=OutputFolder(discarding, one.uri),
            recipe_digest=one.recipe_digest,
            replaced=one.replaced,
        )
        for one in merges
    ]
    copied = _copied_part(inputs)
    with BaseHashes() as hashes:
        writer = CheckpointWriter(
            store=discarding,
            arithmetic=arithmetic,
            merged=inputs.merged_names,
            progress=_untold,
            hashes=hashes if inputs.base_digest is None else None,
        )
        merged_seconds = _timed(writer, "merged", tensors, fusions)
        copied_seconds = _timed(writer, "copied", copied, fusions)
    return Measured(
        layers=layers,
        tensors=tensors,
        merged_bytes=sum(tensor.entry.size for tensor in tensors),
        merged_seconds=merged_seconds,
        copied_bytes=sum(tensor.entry.size for tensor in copied),
        copied_seconds=copied_seconds,
        figures=tuple(tuple(one.figures[name] for name in sorted(one.figures)) for one in fusions),
    )


def _timed(writer: CheckpointWriter, name: str, tensors: Sequence[SourceTensor], fusions: Sequence[Fusion]) -> float:
    if not tensors:
        return 0.0
    started = time.monotonic()
    writer.write([Shard(name=name, tensors=tuple(tensors))], fusions)
    return time.monotonic() - started


def _copied_part(inputs: MergeInputs) -> tuple[SourceTensor, ...]:
    """The beginning of the largest tensor that is copied, as bytes."""
    copied = [tensor for tensor in inputs.base.tensors if tensor.entry.name not in inputs.merged_names]
    if not copied:
        return ()
    largest = max(copied, key=lambda tensor: tensor.entry.size)
    size = min(largest.entry.size, COPIED_BYTES)
    return (replace(largest, entry=replace(largest.entry, dtype="U8", shape=(size,), size=size)),)


def _first_middle_last(items: Sequence[Item]) -> list[Item]:
    places = sorted({0, len(items) // 2, len(items) - 1})
    return [items[place] for place in places]


def _untold(size: int, *, ends_tensor: bool) -> None:
    pass

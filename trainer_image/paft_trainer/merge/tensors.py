"""Merging one tensor: base bytes in, merged bytes out, tile by tile, with a single rounding at the end."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from paft_api.spec.merge import MergeMethod, MergeSpec
from paft_trainer.adapters import Factors
from paft_trainer.merge.deltas import Tile, delta_tile, tiles
from paft_trainer.merge.methods import METHODS, TRIMMED
from paft_trainer.merge.trimming import kept_entries, trim_, trim_threshold
from paft_trainer.safetensors_files import TensorEntry
from paft_trainer.storage import ObjectStore

DTYPES = {"BF16": torch.bfloat16, "F32": torch.float32, "F16": torch.float16}
"""Base dtypes that can take a delta."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmDelta:
    """One arm's share in a tensor. `factors` is None where the arm does not adapt the module."""

    factors: Factors | None
    weight: float


def merged_tensor(
    store: ObjectStore, uri: str, entry: TensorEntry, arms: Sequence[ArmDelta], spec: MergeSpec
) -> Iterator[bytes]:
    """The bytes of base + merged delta of a [out, in] tensor, one tile after the other."""
    rows, columns = entry.shape
    dtype = DTYPES[entry.dtype]
    row_bytes = columns * dtype.itemsize
    thresholds = [_threshold(arm, spec, rows, columns) for arm in arms]
    for tile in tiles(rows, columns):
        count = tile.stop - tile.start
        content = bytearray(store.read_range(uri, entry.start + tile.start * row_bytes, count * row_bytes))
        base = torch.frombuffer(content, dtype=dtype).view(count, columns)
        merged = _merged_delta(arms, thresholds, spec.method, tile, (count, columns))
        yield as_bytes(merged.add_(base).to(dtype))


def as_bytes(tensor: torch.Tensor) -> bytes:
    """The tensor's little-endian bytes."""
    return tensor.contiguous().view(torch.uint8).numpy().tobytes()


def _merged_delta(
    arms: Sequence[ArmDelta],
    thresholds: Sequence[float],
    method: MergeMethod,
    tile: Tile,
    shape: tuple[int, int],
) -> torch.Tensor:
    deltas = [
        torch.zeros(shape) if arm.factors is None else trim_(delta_tile(arm.factors, tile), threshold)
        for arm, threshold in zip(arms, thresholds, strict=True)
    ]
    return METHODS[method](deltas, [arm.weight for arm in arms])


def _threshold(arm: ArmDelta, spec: MergeSpec, rows: int, columns: int) -> float:
    factors = arm.factors
    if spec.method not in TRIMMED or factors is None or factors.is_zero:
        return 0.0
    return trim_threshold(
        lambda: (delta_tile(factors, tile) for tile in tiles(rows, columns)),
        keep=kept_entries(spec.resolved_density, rows * columns),
        entries=rows * columns,
    )

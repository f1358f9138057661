"""Merging one tensor: base bytes in, merged bytes out, chunk by chunk, with a single rounding at the end."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from paft_api.spec.merge import MergeMethod, MergeSpec
from paft_trainer.adapters import Factors
from paft_trainer.errors import ArtifactMismatch
from paft_trainer.merge.deltas import CHUNK_ELEMENTS, RowChunk, delta_rows, row_chunks
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

    @property
    def acting(self) -> Factors | None:
        """The factors, unless they cannot change anything."""
        if self.factors is None or self.weight == 0 or self.factors.is_zero:
            return None
        return self.factors


def merged_tensor(
    store: ObjectStore,
    uri: str,
    entry: TensorEntry,
    arms: Sequence[ArmDelta],
    spec: MergeSpec,
    *,
    chunk_elements: int = CHUNK_ELEMENTS,
) -> Iterator[bytes]:
    """The bytes of base + merged delta of an [out, in] tensor; the same ones whatever `chunk_elements` is.

    Raises ArtifactMismatch where a merged weight leaves the range of the base's dtype.
    """
    rows, columns = entry.shape
    dtype = DTYPES[entry.dtype]
    row_bytes = columns * dtype.itemsize
    thresholds = [_threshold(arm.acting, spec, (rows, columns), chunk_elements) for arm in arms]
    for chunk in row_chunks(rows, columns, chunk_elements=chunk_elements):
        height = chunk.stop - chunk.start
        content = bytearray(store.read_range(uri, entry.start + chunk.start * row_bytes, height * row_bytes))
        base = torch.frombuffer(content, dtype=dtype).view(height, columns)
        merged = add_delta(base, _merged_delta(arms, thresholds, spec.method, chunk, (height, columns)))
        _require_finite(entry, base, merged)
        yield _as_bytes(merged)


def add_delta(base: torch.Tensor, delta: torch.Tensor) -> torch.Tensor:
    """base + delta, added in fp32 and rounded once to the base's dtype, to nearest even.

    Where the delta is 0 the base's bits stay as they are, -0.0 and NaN included.
    """
    return torch.where(delta == 0, base, (base.float() + delta).to(base.dtype))


def _merged_delta(
    arms: Sequence[ArmDelta],
    thresholds: Sequence[float],
    method: MergeMethod,
    chunk: RowChunk,
    shape: tuple[int, int],
) -> torch.Tensor:
    deltas = [
        torch.zeros(shape) if arm.acting is None else trim_(delta_rows(arm.acting, chunk), threshold)
        for arm, threshold in zip(arms, thresholds, strict=True)
    ]
    return METHODS[method](deltas, [arm.weight for arm in arms])


def _threshold(factors: Factors | None, spec: MergeSpec, shape: tuple[int, int], chunk_elements: int) -> float:
    if factors is None or spec.method not in TRIMMED:
        return 0.0
    rows, columns = shape
    return trim_threshold(
        lambda: (delta_rows(factors, chunk) for chunk in row_chunks(rows, columns, chunk_elements=chunk_elements)),
        keep=kept_entries(spec.resolved_density, rows * columns),
        entries=rows * columns,
    )


def _require_finite(entry: TensorEntry, base: torch.Tensor, merged: torch.Tensor) -> None:
    if not bool(torch.isfinite(merged).all()) and bool(torch.isfinite(base).all()):
        raise ArtifactMismatch(
            f"{entry.name}: base and delta together leave the range of {entry.dtype}",
            remedy="Lower merge.weights, or train the adapters again: their factors are far too large.",
        )


def _as_bytes(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().view(torch.uint8).numpy().tobytes()

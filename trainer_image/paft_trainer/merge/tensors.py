"""Merging one tensor: base bytes in, merged bytes out, chunk by chunk, with a single rounding at the end."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from paft_api.spec.merge import DROPS_AT_RANDOM, MergeMethod, MergeSpec
from paft_trainer.adapters import Factors
from paft_trainer.errors import ArtifactMismatch
from paft_trainer.merge.deltas import CHUNK_ELEMENTS, RowChunk, delta_rows, row_chunks
from paft_trainer.merge.dropping import drop_, mask_key
from paft_trainer.merge.inner_products import inner_products
from paft_trainer.merge.methods import METHODS, TRIMMED
from paft_trainer.merge.methods.slerp import slerp_weights
from paft_trainer.merge.trimming import kept_entries, trim_, trim_threshold
from paft_trainer.safetensors_files import TensorEntry
from paft_trainer.storage import ObjectStore

DTYPES = {"BF16": torch.bfloat16, "F32": torch.float32, "F16": torch.float16}
"""Base dtypes that can take a delta."""

Sparsifier = Callable[[torch.Tensor, RowChunk], torch.Tensor]
"""(delta, rows) -> what is left of it, in place: fp32 [rows, columns]."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmDelta:
    """One arm's share in a tensor. `factors` is None where the arm does not adapt the module. `arm`: its name."""

    factors: Factors | None
    weight: float
    arm: str

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
    sparsifiers = [_sparsifier(arm, spec, entry, chunk_elements) for arm in arms]
    weights = _weights(arms, spec, entry, chunk_elements)
    for chunk in row_chunks(rows, columns, chunk_elements=chunk_elements):
        height = chunk.stop - chunk.start
        content = bytearray(store.read_range(uri, entry.start + chunk.start * row_bytes, height * row_bytes))
        base = torch.frombuffer(content, dtype=dtype).view(height, columns)
        deltas = [
            torch.zeros(height, columns) if arm.acting is None else sparsify(delta_rows(arm.acting, chunk), chunk)
            for arm, sparsify in zip(arms, sparsifiers, strict=True)
        ]
        merged = add_delta(base, METHODS[spec.method](deltas, weights))
        _require_finite(entry, base, merged)
        yield _as_bytes(merged)


def add_delta(base: torch.Tensor, delta: torch.Tensor) -> torch.Tensor:
    """base + delta, added in fp32 and rounded once to the base's dtype, to nearest even.

    Where the delta is 0 the base's bits stay as they are, -0.0 and NaN included.
    """
    return torch.where(delta == 0, base, (base.float() + delta).to(base.dtype))


def _sparsifier(arm: ArmDelta, spec: MergeSpec, entry: TensorEntry, chunk_elements: int) -> Sparsifier:
    """What an arm's delta loses before arms meet; the whole tensor is looked at once where that depends on it."""
    rows, columns = entry.shape
    if arm.acting is None:
        return _keep_all
    if spec.method in DROPS_AT_RANDOM:
        key, density = mask_key(seed=spec.resolved_seed, arm=arm.arm, name=entry.name), spec.resolved_density
        return lambda delta, chunk: drop_(delta, key, start=chunk.start * columns, density=density)
    if spec.method in TRIMMED:
        factors = arm.acting
        threshold = trim_threshold(
            lambda: (delta_rows(factors, chunk) for chunk in row_chunks(rows, columns, chunk_elements=chunk_elements)),
            keep=kept_entries(spec.resolved_density, rows * columns),
            entries=rows * columns,
        )
        return lambda delta, chunk: trim_(delta, threshold)
    return _keep_all


def _keep_all(delta: torch.Tensor, chunk: RowChunk) -> torch.Tensor:
    return delta


def _weights(arms: Sequence[ArmDelta], spec: MergeSpec, entry: TensorEntry, chunk_elements: int) -> list[float]:
    weights = [arm.weight for arm in arms]
    if spec.method is not MergeMethod.SLERP:
        return weights
    rows, columns = entry.shape
    first, second = (arm.factors for arm in arms)
    if first is None or second is None:
        return slerp_weights(weights, squares=(0.0, 0.0), product=0.0)
    chunks = row_chunks(rows, columns, chunk_elements=chunk_elements)
    *squares, product = inner_products((delta_rows(first, chunk), delta_rows(second, chunk)) for chunk in chunks)
    return slerp_weights(weights, squares=squares, product=product)


def _require_finite(entry: TensorEntry, base: torch.Tensor, merged: torch.Tensor) -> None:
    if not bool(torch.isfinite(merged).all()) and bool(torch.isfinite(base).all()):
        raise ArtifactMismatch(
            f"{entry.name}: base and delta together leave the range of {entry.dtype}",
            remedy="Lower merge.weights, or train the adapters again: their factors are far too large.",
        )


def _as_bytes(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().view(torch.uint8).numpy().tobytes()

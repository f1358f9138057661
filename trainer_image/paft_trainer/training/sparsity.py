"""How sparse an adapter is: shares of small entries in A, B and ΔW, always together with the norm of ΔW.

The paper (arXiv 2406.17923, section 4) counts entries of ΔW below 1e-5. ΔW of a large model costs as much to form as a
training step, so ΔW's shares come from at most `SAMPLED_ROWS` rows of each module, spread evenly; the norm of ΔW is
exact, from ‖BA‖² = tr(BᵀB·AAᵀ), and so are its zero rows, which are those of B. A fixed threshold says little about an
adapter that is small as a whole, so entries are also compared with the root mean square of all of A's, B's and ΔW's.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from paft_api.report import Sparsity

SMALL = 1e-5
"""Magnitude below which the paper calls an entry zero."""

RELATIVE = 0.01
"""Magnitude, relative to the adapter's own, below which an entry is small for this adapter."""

SAMPLED_ROWS = 64
"""Rows of ΔW looked at in each module."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Factors:
    """One adapted module: ΔW = scale·B·A. `a` is [r, in_features], `b` is [out_features, r], both fp32."""

    a: torch.Tensor
    b: torch.Tensor
    scale: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Shares:
    """Small entries of A, of B or of ΔW, each share from 0 to 1."""

    zero: float
    """Exact zeros."""
    small: float
    """Entries below `SMALL`."""
    zero_bf16: float
    """Zeros after rounding to bf16."""
    relative: float
    """Entries below `RELATIVE` times the root mean square over all modules."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModuleSparsity:
    """How sparse one module is. `zero_rows`: share of ΔW's rows that are zero because B's are."""

    a: Shares
    b: Shares
    delta: Shares
    zero_rows: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """How sparse an adapter is, in all and by module, in the order given."""

    total: Sparsity
    modules: tuple[ModuleSparsity, ...]


class _Counts:
    """Counts over one matrix or several."""

    def __init__(self) -> None:
        self._counts = [0, 0, 0, 0]
        self._total = 0

    def add(self, values: torch.Tensor, scale: float) -> Shares:
        """Take in one matrix; its own shares."""
        magnitudes = values.abs()
        marks = (
            magnitudes == 0,
            magnitudes < SMALL,
            values.to(torch.bfloat16) == 0,
            magnitudes < RELATIVE * scale,
        )
        counts = [int(mark.sum()) for mark in marks]
        self._counts = [before + count for before, count in zip(self._counts, counts, strict=True)]
        self._total += values.numel()
        return _shares(counts, values.numel())

    @property
    def shares(self) -> Shares:
        return _shares(self._counts, self._total)


def _shares(counts: Sequence[int], total: int) -> Shares:
    zero, small, zero_bf16, relative = (count / total if total else 0.0 for count in counts)
    return Shares(zero=zero, small=small, zero_bf16=zero_bf16, relative=relative)


def measure_sparsity(modules: Sequence[Factors]) -> Measurement:
    """Shares over all modules, each entry counting the same, and those of each."""
    a_counts, b_counts, delta_counts = _Counts(), _Counts(), _Counts()
    norm = sum(_squared_delta_norm(module) for module in modules) ** 0.5
    a_scale = _root_mean_square([module.a for module in modules])
    b_scale = _root_mean_square([module.b for module in modules])
    delta_scale = norm / max(1, sum(module.b.shape[0] * module.a.shape[1] for module in modules)) ** 0.5
    measured = tuple(
        ModuleSparsity(
            a=a_counts.add(module.a, a_scale),
            b=b_counts.add(module.b, b_scale),
            delta=delta_counts.add(_sampled_delta(module), delta_scale),
            zero_rows=_zero_rows(module) / module.b.shape[0],
        )
        for module in modules
    )
    rows = sum(module.b.shape[0] for module in modules)
    zero_rows = sum(_zero_rows(module) for module in modules)
    total = _total(a_counts.shares, b_counts.shares, delta_counts.shares, norm=norm, zero_rows=zero_rows / max(1, rows))
    return Measurement(total=total, modules=measured)


def _total(a: Shares, b: Shares, delta: Shares, *, norm: float, zero_rows: float) -> Sparsity:
    return Sparsity(
        a_zero=a.zero,
        a_small=a.small,
        a_zero_bf16=a.zero_bf16,
        a_relative=a.relative,
        b_zero=b.zero,
        b_small=b.small,
        b_zero_bf16=b.zero_bf16,
        b_relative=b.relative,
        delta_zero=delta.zero,
        delta_small=delta.small,
        delta_zero_bf16=delta.zero_bf16,
        delta_relative=delta.relative,
        delta_norm=norm,
        delta_zero_rows=zero_rows,
    )


def _root_mean_square(matrices: Sequence[torch.Tensor]) -> float:
    entries = sum(matrix.numel() for matrix in matrices)
    return (sum(float(matrix.double().square().sum()) for matrix in matrices) / max(1, entries)) ** 0.5


def _zero_rows(module: Factors) -> int:
    return int((module.b == 0).all(dim=1).sum())


def l1_norm(modules: Iterable[Factors]) -> float:
    """‖A‖₁ + ‖B‖₁ over all modules."""
    return sum(float(module.a.abs().sum()) + float(module.b.abs().sum()) for module in modules)


def group_norm(modules: Iterable[Factors], *, by_rows: bool) -> float:
    """‖B‖₁ over all modules, or with `by_rows` √r·Σ‖row of B‖₂."""
    if by_rows:
        return sum(module.b.shape[1] ** 0.5 * float(module.b.norm(dim=1).sum()) for module in modules)
    return sum(float(module.b.abs().sum()) for module in modules)


def _sampled_delta(module: Factors) -> torch.Tensor:
    rows = module.b.shape[0]
    chosen = torch.linspace(0, rows - 1, min(rows, SAMPLED_ROWS)).round().long()
    return module.scale * (module.b[chosen] @ module.a)


def _squared_delta_norm(module: Factors) -> float:
    b_gram = (module.b.T @ module.b).double()
    a_gram = (module.a @ module.a.T).double()
    return module.scale**2 * max(0.0, float((b_gram * a_gram).sum()))

"""How sparse an adapter is: shares of small entries in A, B and ΔW, always together with the norm of ΔW.

The paper (arXiv 2406.17923, section 4) counts entries of ΔW below 1e-5. ΔW of a large model costs as much to form as a
training step, so ΔW's shares come from at most `SAMPLED_ROWS` rows of each module, spread evenly; the norm of ΔW is
exact, from ‖BA‖² = tr(BᵀB·AAᵀ).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch

from paft_api.report import Sparsity

SMALL = 1e-5
"""Magnitude below which the paper calls an entry zero."""

SAMPLED_ROWS = 64
"""Rows of ΔW looked at in each module."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Factors:
    """One adapted module: ΔW = scale·B·A. `a` is [r, in_features], `b` is [out_features, r], both fp32."""

    a: torch.Tensor
    b: torch.Tensor
    scale: float


class _Shares:
    """Counts of zero, small and zero-in-bf16 entries."""

    def __init__(self) -> None:
        self._counts = [0, 0, 0]
        self._total = 0

    def add(self, values: torch.Tensor) -> None:
        magnitudes = values.abs()
        self._counts[0] += int((magnitudes == 0).sum())
        self._counts[1] += int((magnitudes < SMALL).sum())
        self._counts[2] += int((values.to(torch.bfloat16) == 0).sum())
        self._total += values.numel()

    def __iter__(self) -> Iterator[float]:
        return (count / self._total if self._total else 0.0 for count in self._counts)


def measure_sparsity(modules: Iterable[Factors]) -> Sparsity:
    """Shares over all modules, each entry counting the same."""
    a_shares, b_shares, delta_shares = _Shares(), _Shares(), _Shares()
    squared_norm = 0.0
    for module in modules:
        a_shares.add(module.a)
        b_shares.add(module.b)
        delta_shares.add(_sampled_delta(module))
        squared_norm += _squared_delta_norm(module)
    a_zero, a_small, a_zero_bf16 = a_shares
    b_zero, b_small, b_zero_bf16 = b_shares
    delta_zero, delta_small, delta_zero_bf16 = delta_shares
    return Sparsity(
        a_zero=a_zero,
        a_small=a_small,
        a_zero_bf16=a_zero_bf16,
        b_zero=b_zero,
        b_small=b_small,
        b_zero_bf16=b_zero_bf16,
        delta_zero=delta_zero,
        delta_small=delta_small,
        delta_zero_bf16=delta_zero_bf16,
        delta_norm=squared_norm**0.5,
    )


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

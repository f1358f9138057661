"""Lengths and inner product of two deltas of a tensor, from their factors: ⟨B₁A₁, B₂A₂⟩ = Σ (B₁ᵀB₂) ∘ (A₁A₂ᵀ).

In float64 and in one order, without computing a delta: r₁·r₂ products per row and column.
"""

import math
from dataclasses import dataclass

import numpy as np

from paft_trainer.adapters import Factors
from paft_trainer.merge.kernels.products import gram


@dataclass(frozen=True, kw_only=True, slots=True)
class Lengths:
    """Squared lengths of both deltas and their inner product."""

    first: float
    second: float
    product: float

    @property
    def lengths(self) -> tuple[float, float]:
        """‖τ₁‖ and ‖τ₂‖."""
        return math.sqrt(self.first), math.sqrt(self.second)

    @property
    def cosine(self) -> float | None:
        """Cosine of the angle between them; None where one is 0."""
        first, second = self.lengths
        if first == 0 or second == 0:
            return None
        return max(-1.0, min(1.0, self.product / first / second))


def lengths_of(first: Factors | None, second: Factors | None) -> Lengths:
    """Of one tensor. Arms without factors have length 0."""
    return Lengths(first=_product(first, first), second=_product(second, second), product=_product(first, second))


def sum_of(parts: list[Lengths]) -> Lengths:
    """Of all tensors together."""
    return Lengths(
        first=math.fsum(part.first for part in parts),
        second=math.fsum(part.second for part in parts),
        product=math.fsum(part.product for part in parts),
    )


def _product(left: Factors | None, right: Factors | None) -> float:
    if left is None or right is None:
        return 0.0
    inner = gram(left.b, right.b)
    outer = gram(np.ascontiguousarray(left.a.T), np.ascontiguousarray(right.a.T))
    # Squares are never negative, but the rounding of a sum that should be 0 can be.
    total = left.scale * right.scale * math.fsum((inner * outer).ravel().tolist())
    return max(total, 0.0) if left is right else total

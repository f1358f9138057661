"""Lengths and inner product of two deltas, whose parts come a block of rows at a time.

Each row is summed in float64 by itself, and the rows' sums exactly: the result does not depend on how rows are grouped.
"""

import math
from collections.abc import Iterable

import numpy as np
import torch


def inner_products(parts: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> tuple[float, float, float]:
    """⟨τ₁, τ₁⟩, ⟨τ₂, τ₂⟩ and ⟨τ₁, τ₂⟩. `parts`: the same rows of both, fp32 [rows, columns]."""
    sums: tuple[list[float], ...] = ([], [], [])
    for first, second in parts:
        a, b = (np.ascontiguousarray(part.numpy(), dtype=np.float64) for part in (first, second))
        for rows, product in zip(sums, (a * a, b * b, a * b), strict=True):
            rows.extend(np.add.reduce(product, axis=1).tolist())
    return math.fsum(sums[0]), math.fsum(sums[1]), math.fsum(sums[2])

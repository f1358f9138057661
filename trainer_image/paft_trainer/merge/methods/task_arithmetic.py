"""Weighted sum of deltas: task vectors are added (arXiv 2212.04089)."""

from collections.abc import Sequence

import torch


def task_arithmetic(deltas: Sequence[torch.Tensor], weights: Sequence[float]) -> torch.Tensor:
    """Σ wᵢ·τᵢ. `deltas`: fp32, one shape."""
    merged = torch.zeros_like(deltas[0])
    for delta, weight in zip(deltas, weights, strict=True):
        merged.add_(delta, alpha=weight)
    return merged

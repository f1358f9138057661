"""Weighted mean of deltas, as model soups average weights (arXiv 2203.05482)."""

from collections.abc import Sequence

import torch

from paft_trainer.merge.methods.task_arithmetic import task_arithmetic


def linear(deltas: Sequence[torch.Tensor], weights: Sequence[float]) -> torch.Tensor:
    """Σ wᵢ·τᵢ / Σ wᵢ. `deltas`: fp32, one shape. The weights must not add up to 0."""
    total = sum(weights)
    return task_arithmetic(deltas, [weight / total for weight in weights])

"""TIES: trim, elect signs, merge what agrees (arXiv 2306.01708).

Trimming needs the whole tensor and happens before (paft_trainer.merge.trimming). Where tools differ we take: deltas are
weighted before signs are elected, so that an arm of weight 0 has no vote; the elected sign is that of the weighted sum
(the paper's total mass), and entries in exact balance become 0; the merged value is the weighted mean over the arms
that agree, Σ wᵢτᵢ / Σ |wᵢ|, which for equal weights is the paper's disjoint mean. Weights therefore act only in
relation to one another.
"""

from collections.abc import Sequence

import torch


def ties(deltas: Sequence[torch.Tensor], weights: Sequence[float]) -> torch.Tensor:
    """Elect signs and merge disjointly. `deltas`: trimmed, fp32, one shape."""
    weighted = [delta * weight for delta, weight in zip(deltas, weights, strict=True)]
    elected = torch.zeros_like(weighted[0])
    for value in weighted:
        elected.add_(value)
    elected.sign_()
    total = torch.zeros_like(elected)
    mass = torch.zeros_like(elected)
    for value, weight in zip(weighted, weights, strict=True):
        agrees = (value.sign() == elected) & (value != 0)
        total.add_(value.mul_(agrees))
        mass.add_(agrees, alpha=abs(weight))
    return torch.where(mass > 0, total / mass, 0.0)

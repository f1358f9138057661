"""The proximal step for rows of B: a row shrinks as a whole, and is exactly zero or not at all.

A zero row of B is a zero row of ΔW, whatever LoRA's r, where zeros at random places of both factors are hardly any in
ΔW. The penalty λ·√r·‖row‖₂ (the group lasso of Yuan and Lin, 2006) has the closed proximal operator
row · max(0, 1 − t/‖row‖) in a metric that is one number for each row: √ of the mean v̂ of its entries. √r makes λ
comparable with that of single entries, and the guards are those of `proximal_adamw`.
"""

import torch

from paft_trainer.training.factor_partitions import RowSegments


def row_moments(
    second_moment: torch.Tensor, weight: torch.Tensor, rows: RowSegments
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean v and root mean square weight of each row, fp32 [segments]. Collective where rows are cut between ranks."""
    moments, squares = (rows.sums(torch.stack([second_moment, weight.square()])) / rows.row_length).unbind()
    return moments, squares.sqrt()


def row_scales(threshold: torch.Tensor, size: torch.Tensor) -> torch.Tensor:
    """What each row is multiplied with. `size`: root mean square of its weights. Both [segments]."""
    return torch.where(size > 0, (1 - threshold / size).clamp(min=0), 0.0)

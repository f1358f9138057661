"""The losses of direct preference optimisation, from log-probabilities of whole answers.

Equal to TRL's (1.16), which gathers a dozen figures over all processes in each forward pass and needs the same number
of pairs on each.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn.functional import logsigmoid

from paft_api.spec.preference import DpoLoss


@dataclass(frozen=True, kw_only=True, slots=True)
class PairLogProbabilities:
    """Of each pair's answers, summed over their tokens, shape (pairs,), fp32.

    `chosen`, `rejected`: by the model that is trained. `reference_chosen`, `reference_rejected`: by the base.
    `chosen_tokens`, `rejected_tokens`: how many tokens the answers have.
    """

    chosen: torch.Tensor
    rejected: torch.Tensor
    reference_chosen: torch.Tensor
    reference_rejected: torch.Tensor
    chosen_tokens: torch.Tensor
    rejected_tokens: torch.Tensor

    @property
    def chosen_ratio(self) -> torch.Tensor:
        """log π/π_ref of the chosen answers."""
        return self.chosen - self.reference_chosen

    @property
    def rejected_ratio(self) -> torch.Tensor:
        """log π/π_ref of the rejected answers."""
        return self.rejected - self.reference_rejected


def dpo_losses(pairs: PairLogProbabilities, *, beta: float, losses: Sequence[DpoLoss]) -> torch.Tensor:
    """The weighted sum of the terms for each pair, shape (pairs,)."""
    terms = [loss.weight * _term(pairs, loss, beta) for loss in losses]
    return torch.stack(terms).sum(dim=0)


def _term(pairs: PairLogProbabilities, loss: DpoLoss, beta: float) -> torch.Tensor:
    difference = pairs.chosen_ratio - pairs.rejected_ratio
    match loss.type:
        case "sigmoid":
            return -logsigmoid(beta * difference)
        case "hinge":
            return torch.relu(1 - beta * difference)
        case "ipo":
            # Over the answers' tokens, as the authors of IPO told TRL's.
            per_token = pairs.chosen_ratio / pairs.chosen_tokens - pairs.rejected_ratio / pairs.rejected_tokens
            return (per_token - 1 / (2 * beta)) ** 2

"""The loss of a job: its terms, added up with their weights."""

import torch

from paft_api.spec.preference import DpoSpec
from paft_trainer.training.dpo_losses.divergences import scores
from paft_trainer.training.dpo_losses.pairs import PairLogProbabilities, ScoredPairs
from paft_trainer.training.dpo_losses.terms import TERMS


def dpo_losses(pairs: PairLogProbabilities, dpo: DpoSpec, *, learnt_tokens: float) -> torch.Tensor:
    """The weighted sum of the terms for each pair, shape (pairs,).

    `learnt_tokens`: of a chosen answer, in the mean over all pairs of the step.
    """
    scored = ScoredPairs(
        chosen_ratio=pairs.chosen_ratio,
        rejected_ratio=pairs.rejected_ratio,
        chosen_score=scores(pairs.chosen_ratio, dpo),
        rejected_score=scores(pairs.rejected_ratio, dpo),
        chosen_tokens=pairs.chosen_tokens.clamp(min=1),
        rejected_tokens=pairs.rejected_tokens.clamp(min=1),
        chosen_nll=-pairs.chosen / learnt_tokens,
    )
    terms = [loss.weight * TERMS[loss.type](scored, dpo) for loss in dpo.losses]
    return torch.stack(terms).sum(dim=0)

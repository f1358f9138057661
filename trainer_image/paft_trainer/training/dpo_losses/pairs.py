"""What a model and its reference say of pairs of answers."""

from dataclasses import dataclass

import torch


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


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoredPairs:
    """What the losses are functions of, shape (pairs,), fp32.

    `chosen_ratio`, `rejected_ratio`: log π/π_ref. `chosen_score`, `rejected_score`: f′(π/π_ref) of the f-divergence,
    which is log π/π_ref for the reverse Kullback-Leibler divergence. `chosen_tokens`, `rejected_tokens`: tokens of the
    answers, at least 1. `chosen_nll`: negative log-likelihood of the chosen answer, over the mean number of tokens.
    """

    chosen_ratio: torch.Tensor
    rejected_ratio: torch.Tensor
    chosen_score: torch.Tensor
    rejected_score: torch.Tensor
    chosen_tokens: torch.Tensor
    rejected_tokens: torch.Tensor
    chosen_nll: torch.Tensor

    @property
    def difference(self) -> torch.Tensor:
        """Score of chosen minus rejected."""
        return self.chosen_score - self.rejected_score

    @property
    def difference_per_token(self) -> torch.Tensor:
        """The same of scores over the tokens of their answers."""
        return self.chosen_score / self.chosen_tokens - self.rejected_score / self.rejected_tokens

"""The loss of odds ratio preference optimisation (arXiv 2403.07691), from log-probabilities of whole answers.

L = L_SFT + λ·L_OR (equation 6): the loss on the chosen answer, and -log σ of the log odds ratio (equation 7). As in the
authors' code and in TRL, the probability of an answer is the geometric mean over its tokens, and L_SFT covers the
prompt too.
"""

from dataclasses import dataclass

import torch
from torch.nn.functional import logsigmoid

_NEAREST_TO_CERTAIN = -(2.0**-24)
"""The largest log-probability below 0 that fp32 tells from certainty; at 0 the odds are infinite."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerLogProbabilities:
    """Of each pair, shape (pairs,).

    `chosen`, `rejected`: means over the answers' tokens. `chosen_sequence`: sum over the chosen answer and its prompt.
    """

    chosen: torch.Tensor
    rejected: torch.Tensor
    chosen_sequence: torch.Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class OrpoTerms:
    """What the loss of each pair consists of, fp32, shape (pairs,).

    `nll`: negative log-likelihood of the chosen sequence, over the mean number of tokens. `log_odds_ratio`: log of the
    odds of the chosen answer over those of the rejected one.
    """

    nll: torch.Tensor
    log_odds_ratio: torch.Tensor

    def losses(self, beta: float) -> torch.Tensor:
        """`beta`: λ of the paper."""
        return self.nll - beta * logsigmoid(self.log_odds_ratio)


def orpo_terms(answers: AnswerLogProbabilities, *, learnt_tokens: float) -> OrpoTerms:
    """`learnt_tokens`: of a chosen sequence, in the mean over all pairs: the mean of `nll` is then one over tokens."""
    return OrpoTerms(
        nll=-answers.chosen_sequence.float() / learnt_tokens,
        log_odds_ratio=log_odds(answers.chosen) - log_odds(answers.rejected),
    )


def log_odds(log_probabilities: torch.Tensor) -> torch.Tensor:
    """log p/(1-p) from log p, elementwise, in fp32 whatever comes in.

    1-p is computed as -expm1(log p), which loses nothing where p is close to 1; where it is close to 0, the absolute
    error of its logarithm is that of a number close to 1. In bf16 every p above 0.998 would be 1.
    """
    logs = log_probabilities.float().clamp(max=_NEAREST_TO_CERTAIN)
    return logs - torch.log(-torch.expm1(logs))

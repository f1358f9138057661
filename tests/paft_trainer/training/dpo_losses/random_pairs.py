"""Log-probabilities of made-up pairs, token by token."""

from dataclasses import dataclass

import torch

from paft_trainer.training.dpo_losses.pairs import PairLogProbabilities


@dataclass(frozen=True, kw_only=True)
class RandomPairs:
    """`tokens`: log-probabilities of the tokens of all chosen answers, then of all rejected ones, shape (2 · pairs,
    longest), zero where an answer has ended; `labelled`: where it has not. `reference`: sums, shape (2, pairs)."""

    tokens: torch.Tensor
    labelled: torch.Tensor
    reference: torch.Tensor

    @property
    def summed(self) -> PairLogProbabilities:
        """What the losses are given."""
        chosen, rejected = self.tokens.sum(dim=1).chunk(2)
        chosen_tokens, rejected_tokens = self.labelled.float().sum(dim=1).chunk(2)
        return PairLogProbabilities(
            chosen=chosen,
            rejected=rejected,
            reference_chosen=self.reference[0],
            reference_rejected=self.reference[1],
            chosen_tokens=chosen_tokens,
            rejected_tokens=rejected_tokens,
        )

    @property
    def learnt_tokens(self) -> float:
        """Mean number of tokens of a chosen answer."""
        return float(self.summed.chosen_tokens.mean())


def random_pairs(seed: int, *, pairs: int = 6, longest: int = 9, spread: float = 2.0) -> RandomPairs:
    """Pairs whose model has gone away from its reference by about `spread` for an answer."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, longest + 1, (2 * pairs,), generator=generator)
    labelled = torch.arange(longest) < lengths[:, None]
    tokens = -3 * torch.rand(2 * pairs, longest, generator=generator) * labelled
    away = spread * torch.randn(2, pairs, generator=generator)
    return RandomPairs(tokens=tokens, labelled=labelled, reference=tokens.sum(dim=1).view(2, pairs) + away)

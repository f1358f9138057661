"""ORPO: one model, no reference, and a loss that learns the chosen answers beside telling them from the rejected."""

from collections.abc import Mapping
from typing import Any

import torch
from torch.nn.functional import logsigmoid

from paft_trainer.data.chat import IGNORED
from paft_trainer.training.batching.examples import PROMPT_TOKENS
from paft_trainer.training.batching.layouts import sequence_sums
from paft_trainer.training.orpo_loss import AnswerLogProbabilities, OrpoTerms, orpo_terms
from paft_trainer.training.pair_trainer import PairTrainer


class OrpoArmTrainer(PairTrainer):
    """Odds ratio preference optimisation (arXiv 2403.07691)."""

    OF_THE_FORM = (PROMPT_TOKENS,)

    def pair_losses(
        self, outputs: Any, inputs: dict[str, Any], learnt_tokens: float
    ) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        """Equation 6 of the paper, for each pair."""
        answers = _answers(outputs.log_probs.float(), inputs)
        terms = orpo_terms(answers, learnt_tokens=learnt_tokens)
        beta = self._spec.resolved_orpo.beta
        return terms.losses(beta), _figures(answers, terms, beta)


def _answers(log_probabilities: torch.Tensor, inputs: dict[str, Any]) -> AnswerLogProbabilities:
    lengths, prompts = inputs.get("row_lengths"), inputs[PROMPT_TOKENS].repeat(2).tolist()
    labelled = (inputs["labels"][:, 1:] != IGNORED).float()
    tokens = sequence_sums(labelled, lengths, skipping=prompts).clamp(min=1)
    chosen, rejected = (sequence_sums(log_probabilities, lengths, skipping=prompts) / tokens).view(2, -1)
    chosen_sequence, _ = sequence_sums(log_probabilities, lengths).view(2, -1)
    return AnswerLogProbabilities(chosen=chosen, rejected=rejected, chosen_sequence=chosen_sequence)


def _figures(answers: AnswerLogProbabilities, terms: OrpoTerms, beta: float) -> dict[str, torch.Tensor]:
    """By TRL's names: its log_odds_ratio is log σ of the ratio's logarithm, and log_odds_chosen that logarithm."""
    chosen, rejected = beta * answers.chosen.detach(), beta * answers.rejected.detach()
    return {
        "rewards/chosen": chosen,
        "rewards/rejected": rejected,
        "rewards/margins": chosen - rejected,
        "rewards/accuracies": chosen > rejected,
        "logps/chosen": answers.chosen,
        "logps/rejected": answers.rejected,
        "nll_loss": terms.nll,
        "log_odds_ratio": logsigmoid(terms.log_odds_ratio),
        "log_odds_chosen": terms.log_odds_ratio,
    }

"""Each loss by its type. TRL's docstrings and the papers differ in places; what TRL computes is what is here."""

import math
from collections.abc import Callable, Mapping

import torch
from torch.nn.functional import logsigmoid

from paft_api.spec.preference import DpoSpec
from paft_trainer.training.dpo_losses.pairs import ScoredPairs


def sigmoid(pairs: ScoredPairs, dpo: DpoSpec) -> torch.Tensor:
    """DPO, equation 7 (arXiv 2305.18290)."""
    return -logsigmoid(dpo.beta * pairs.difference)


def sigmoid_norm(pairs: ScoredPairs, dpo: DpoSpec) -> torch.Tensor:
    """The same with scores over the tokens of the answers, as in Tülu 3 (arXiv 2411.15124)."""
    return -logsigmoid(dpo.beta * pairs.difference_per_token)


def hinge(pairs: ScoredPairs, dpo: DpoSpec) -> torch.Tensor:
    """SLiC (arXiv 2305.10425) with the reward of DPO, as in RSO (arXiv 2309.06657)."""
    return torch.relu(1 - dpo.beta * pairs.difference)


def ipo(pairs: ScoredPairs, dpo: DpoSpec) -> torch.Tensor:
    """IPO, equation 17 (arXiv 2310.12036), over the answers' tokens, as its authors told TRL's."""
    return (pairs.difference_per_token - 1 / (2 * dpo.beta)) ** 2


def exo_pair(pairs: ScoredPairs, dpo: DpoSpec) -> torch.Tensor:
    """EXO, equation 16 (arXiv 2402.00856): the divergence of the model's preference from one of 1-ε to ε."""
    logits, smoothing = dpo.beta * pairs.difference, dpo.resolved_label_smoothing
    chosen = torch.sigmoid(logits) * (logsigmoid(logits) - math.log1p(-smoothing))
    rejected = torch.sigmoid(-logits) * (logsigmoid(-logits) - math.log(smoothing))
    return chosen + rejected


def nca_pair(pairs: ScoredPairs, dpo: DpoSpec) -> torch.Tensor:
    """NCA for pairs (arXiv 2402.05369)."""
    chosen, rejected = dpo.beta * pairs.chosen_ratio, dpo.beta * pairs.rejected_ratio
    return -logsigmoid(chosen) - 0.5 * logsigmoid(-chosen) - 0.5 * logsigmoid(-rejected)


def robust(pairs: ScoredPairs, dpo: DpoSpec) -> torch.Tensor:
    """Robust DPO, equation 11 (arXiv 2403.00409), which expects a share ε of labels to be wrong."""
    logits, smoothing = dpo.beta * pairs.difference, dpo.resolved_label_smoothing
    clean, flipped = -logsigmoid(logits), -logsigmoid(-logits)
    return ((1 - smoothing) * clean - smoothing * flipped) / (1 - 2 * smoothing)


def bco_pair(pairs: ScoredPairs, dpo: DpoSpec) -> torch.Tensor:
    """BCO (arXiv 2404.04656) without the shift of rewards, a running mean over batches, which TRL leaves out too."""
    return -logsigmoid(dpo.beta * pairs.chosen_ratio) - logsigmoid(-dpo.beta * pairs.rejected_ratio)


def sppo_hard(pairs: ScoredPairs, dpo: DpoSpec) -> torch.Tensor:
    """SPPO, equation 4.7 (arXiv 2405.00675), with probabilities of 1 for the chosen answer and 0 for the rejected."""
    half = 0.5 / dpo.beta
    return (pairs.chosen_ratio - half) ** 2 + (pairs.rejected_ratio + half) ** 2


def apo_zero(pairs: ScoredPairs, dpo: DpoSpec) -> torch.Tensor:
    """APO, equation 7 (arXiv 2408.06266): for chosen answers better than what the model would give."""
    return torch.sigmoid(-dpo.beta * pairs.chosen_ratio) + torch.sigmoid(dpo.beta * pairs.rejected_ratio)


def apo_down(pairs: ScoredPairs, dpo: DpoSpec) -> torch.Tensor:
    """APO, equation 8 (arXiv 2408.06266): for chosen answers worse than what the model would give."""
    margin = dpo.beta * (pairs.chosen_ratio - pairs.rejected_ratio)
    return torch.sigmoid(dpo.beta * pairs.chosen_ratio) + torch.sigmoid(-margin)


def discopop(pairs: ScoredPairs, dpo: DpoSpec) -> torch.Tensor:
    """DiscoPOP, equation 5 (arXiv 2406.08414): logistic where the order is wrong, exponential where it is right.

    The exponential part is computed as one exponential: where its two factors are 0 and infinite, it is 0.
    """
    logits = dpo.beta * pairs.difference
    modulation = logits / dpo.resolved_discopop_tau
    return -logsigmoid(logits) * torch.sigmoid(-modulation) + torch.exp(logsigmoid(modulation) - logits)


def sft(pairs: ScoredPairs, dpo: DpoSpec) -> torch.Tensor:
    """Negative log-likelihood of the chosen answers, in the mean one over all their tokens (arXiv 2411.10442)."""
    return pairs.chosen_nll


TERMS: Mapping[str, Callable[[ScoredPairs, DpoSpec], torch.Tensor]] = {
    "sigmoid": sigmoid,
    "hinge": hinge,
    "ipo": ipo,
    "exo_pair": exo_pair,
    "nca_pair": nca_pair,
    "robust": robust,
    "bco_pair": bco_pair,
    "sppo_hard": sppo_hard,
    "apo_zero": apo_zero,
    "apo_down": apo_down,
    "discopop": discopop,
    "sft": sft,
    "sigmoid_norm": sigmoid_norm,
}
"""By the name of a loss in preference.dpo.losses: the loss of each pair, shape (pairs,)."""

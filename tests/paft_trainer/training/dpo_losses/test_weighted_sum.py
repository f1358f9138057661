"""Every loss, divergence and sum of them against TRL's own computation of a step."""

from collections import defaultdict
from types import SimpleNamespace
from typing import Any, get_args

import pytest
import torch
from tests.paft_trainer.training.dpo_losses.random_pairs import RandomPairs, random_pairs
from trl import DPOTrainer

from paft_api.spec.preference import OF_THE_DIFFERENCE, SMOOTHED, DpoLoss, DpoSpec
from paft_trainer.training.dpo_losses.pairs import PairLogProbabilities
from paft_trainer.training.dpo_losses.terms import TERMS
from paft_trainer.training.dpo_losses.weighted_sum import dpo_losses

DIVERGENCES = get_args(DpoSpec.model_fields["f_divergence_type"].annotation)
MIXED = [("sigmoid", 0.8), ("bco_pair", 0.2), ("sft", 1.0)]
"""MPO's (arXiv 2411.10442)."""


def spec(*losses: tuple[str, float], **options: Any) -> DpoSpec:
    if {name for name, _ in losses} & set(SMOOTHED):
        options = {"label_smoothing": 0.1} | options
    return DpoSpec(losses=tuple(DpoLoss(type=name, weight=weight) for name, weight in losses), **options)


def ours(pairs: RandomPairs, dpo: DpoSpec) -> torch.Tensor:
    return dpo_losses(pairs.summed, dpo, learnt_tokens=pairs.learnt_tokens)


def theirs(pairs: RandomPairs, dpo: DpoSpec) -> torch.Tensor:
    """The loss that DPOTrainer computes where its model gives these log-probabilities."""
    mask = torch.cat([torch.zeros(len(pairs.labelled), 1), pairs.labelled], dim=1).long()
    zeros = torch.zeros_like(pairs.tokens)
    outputs = SimpleNamespace(log_probs=pairs.tokens, entropy=zeros, mean_logits=zeros, is_top1=zeros.bool())

    def model(**_: Any) -> Any:
        return outputs

    model.training = True  # type: ignore[attr-defined]
    accelerator = SimpleNamespace(device="cpu", gather=lambda value: value, gather_for_metrics=lambda value: value)
    trainer = SimpleNamespace(
        model=model,
        accelerator=accelerator,
        args=SimpleNamespace(discopop_tau=dpo.resolved_discopop_tau),
        beta=dpo.beta,
        loss_types=list(dpo.types),
        loss_weights=[loss.weight for loss in dpo.losses],
        label_smoothing=dpo.resolved_label_smoothing,
        f_divergence_type=dpo.f_divergence_type,
        f_alpha_divergence_coef=dpo.resolved_f_alpha_divergence_coef,
        ld_alpha=None,
        use_weighting=False,
        precompute_ref_logps=True,
        aux_loss_enabled=False,
        _metrics=defaultdict(lambda: defaultdict(list)),
        _total_train_tokens=0,
        _tp_size=1,
    )
    inputs = {
        "input_ids": mask,
        "attention_mask": torch.ones_like(mask),
        "completion_mask": mask,
        "ref_chosen_logps": pairs.reference[0],
        "ref_rejected_logps": pairs.reference[1],
    }
    loss: torch.Tensor = DPOTrainer._compute_loss(trainer, model, inputs, return_outputs=False)
    return loss


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", TERMS)
def test_every_loss_is_trls(name: str, seed: int) -> None:
    pairs, dpo = random_pairs(seed), spec((name, 1.0), beta=0.3)

    torch.testing.assert_close(ours(pairs, dpo).mean(), theirs(pairs, dpo), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("divergence", DIVERGENCES)
@pytest.mark.parametrize("name", OF_THE_DIFFERENCE)
def test_every_divergence_is_trls(name: str, divergence: str) -> None:
    pairs = random_pairs(5)
    alphas = [0.0, 0.5, 1.0, 2.0] if divergence == "alpha_divergence" else [None]

    for alpha in alphas:
        dpo = spec((name, 1.0), beta=0.3, f_divergence_type=divergence, f_alpha_divergence_coef=alpha)
        torch.testing.assert_close(ours(pairs, dpo).mean(), theirs(pairs, dpo), rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("smoothing", [0.001, 0.2, 0.49])
@pytest.mark.parametrize("name", SMOOTHED)
def test_every_smoothing_is_trls(name: str, smoothing: float) -> None:
    pairs, dpo = random_pairs(6), spec((name, 1.0), label_smoothing=smoothing)

    torch.testing.assert_close(ours(pairs, dpo).mean(), theirs(pairs, dpo), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("losses", [MIXED, [(name, 0.1 + place) for place, name in enumerate(TERMS)]])
def test_a_sum_of_losses_is_trls(losses: list[tuple[str, float]]) -> None:
    pairs, dpo = random_pairs(7), spec(*losses)

    torch.testing.assert_close(ours(pairs, dpo).mean(), theirs(pairs, dpo), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", TERMS)
def test_gradients_are_trls(name: str) -> None:
    pairs, dpo = random_pairs(8), spec((name, 1.0))
    gradients = []
    for loss in (lambda pairs: ours(pairs, dpo).mean(), lambda pairs: theirs(pairs, dpo)):
        tokens = pairs.tokens.clone().requires_grad_()
        loss(RandomPairs(tokens=tokens, labelled=pairs.labelled, reference=pairs.reference)).backward()
        assert tokens.grad is not None
        gradients.append(tokens.grad * pairs.labelled)

    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", TERMS)
def test_the_loss_of_a_pair_is_the_same_in_every_batch(name: str) -> None:
    """What makes results independent of micro batches, packing and processes."""
    pairs, dpo = random_pairs(9, pairs=8), spec((name, 1.0))
    summed, whole = pairs.summed, ours(pairs, dpo)
    fields = PairLogProbabilities.__dataclass_fields__

    for rows in (slice(0, 1), slice(1, 3), slice(3, 8)):
        part = PairLogProbabilities(**{field: getattr(summed, field)[rows] for field in fields})
        assert torch.equal(dpo_losses(part, dpo, learnt_tokens=pairs.learnt_tokens), whole[rows])

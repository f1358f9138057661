"""What the papers say of the losses, and that none leaves fp32 where it need not."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from paft_api.spec.preference import SMOOTHED, DpoLoss, DpoSpec
from paft_trainer.training.dpo_losses.pairs import ScoredPairs
from paft_trainer.training.dpo_losses.terms import TERMS

RATIOS = st.floats(min_value=-40, max_value=40, width=32)
OF_THE_MARGIN = ("sigmoid", "hinge", "exo_pair", "robust", "discopop", "sigmoid_norm")
AT_THE_REFERENCE = {
    "sigmoid": math.log(2),
    "sigmoid_norm": math.log(2),
    "hinge": 1.0,
    "ipo": 25.0,
    "robust": math.log(2),
    "nca_pair": 2 * math.log(2),
    "bco_pair": 2 * math.log(2),
    "sppo_hard": 50.0,
    "apo_zero": 1.0,
    "apo_down": 1.0,
    "discopop": 0.5 * math.log(2) + 0.5,
}
"""Of a model that has not moved, with a beta of 0.1."""


def options(name: str, **others: float) -> DpoSpec:
    smoothing = {"label_smoothing": 0.1} if name in SMOOTHED else {}
    return DpoSpec(losses=(DpoLoss(type=name),), **smoothing | others)  # type: ignore[arg-type]


def pair(chosen: float, rejected: float, *, tokens: tuple[float, float] = (1.0, 1.0)) -> ScoredPairs:
    def one(value: float) -> torch.Tensor:
        return torch.tensor([value])

    return ScoredPairs(
        chosen_ratio=one(chosen),
        rejected_ratio=one(rejected),
        chosen_score=one(chosen),
        rejected_score=one(rejected),
        chosen_tokens=one(tokens[0]),
        rejected_tokens=one(tokens[1]),
        chosen_nll=one(1.0),
    )


def loss(name: str, chosen: float, rejected: float, **others: float) -> float:
    return float(TERMS[name](pair(chosen, rejected), options(name, **others)))


@pytest.mark.parametrize("name", AT_THE_REFERENCE)
def test_a_model_that_has_not_moved_has_a_loss_that_is_known(name: str) -> None:
    assert loss(name, 0.0, 0.0) == pytest.approx(AT_THE_REFERENCE[name], rel=1e-6)


@pytest.mark.parametrize("name", OF_THE_MARGIN)
@given(chosen=RATIOS, rejected=RATIOS, shift=st.floats(min_value=-8, max_value=8, width=32))
def test_a_loss_of_the_difference_does_not_see_what_both_answers_share(
    name: str, chosen: float, rejected: float, shift: float
) -> None:
    assert loss(name, chosen, rejected) == pytest.approx(
        loss(name, chosen + shift, rejected + shift), rel=1e-3, abs=1e-4
    )


@given(chosen=RATIOS, rejected=RATIOS)
def test_robust_without_wrong_labels_is_sigmoid(chosen: float, rejected: float) -> None:
    assert loss("robust", chosen, rejected, label_smoothing=0.0) == pytest.approx(
        loss("sigmoid", chosen, rejected), rel=1e-6, abs=1e-7
    )


@given(chosen=RATIOS, rejected=RATIOS)
def test_robust_is_unbiased(chosen: float, rejected: float) -> None:
    """Section 3.2 of its paper: over labels of which a share ε is turned around, its mean is the loss of right ones."""
    smoothing = 0.1
    mean = (1 - smoothing) * loss("robust", chosen, rejected) + smoothing * loss("robust", rejected, chosen)

    assert mean == pytest.approx(loss("sigmoid", chosen, rejected), rel=1e-4, abs=1e-5)


@given(chosen=RATIOS, rejected=RATIOS)
def test_exo_is_a_divergence_that_is_zero_where_the_model_prefers_as_it_should(chosen: float, rejected: float) -> None:
    assert loss("exo_pair", chosen, rejected) >= -1e-6
    margin = math.log(0.9 / 0.1) / 0.1
    assert loss("exo_pair", margin, 0.0) == pytest.approx(0, abs=1e-6)


def test_ipo_and_sppo_have_their_least_loss_where_their_papers_put_it() -> None:
    assert loss("ipo", 1 / (2 * 0.1), 0.0) == 0
    assert loss("sppo_hard", 5.0, -5.0) == 0


def test_losses_per_token_do_not_grow_with_answers() -> None:
    for name in ("ipo", "sigmoid_norm"):
        short, long = pair(1.0, -1.0), pair(7.0, -3.0, tokens=(7.0, 3.0))

        torch.testing.assert_close(TERMS[name](long, options(name)), TERMS[name](short, options(name)))


@pytest.mark.parametrize("name", TERMS)
@pytest.mark.parametrize("far", [-800.0, 800.0])
def test_no_loss_is_other_than_a_number_far_from_the_reference(name: str, far: float) -> None:
    """TRL's discopop is NaN at the first of these, for 0 times infinity."""
    scored = pair(far, -far)
    leaf = scored.chosen_ratio.requires_grad_()
    moved = ScoredPairs(
        chosen_ratio=leaf,
        rejected_ratio=scored.rejected_ratio,
        chosen_score=leaf * 1,
        rejected_score=scored.rejected_score,
        chosen_tokens=scored.chosen_tokens,
        rejected_tokens=scored.rejected_tokens,
        chosen_nll=-leaf,
    )
    value = TERMS[name](moved, options(name))
    value.sum().backward()

    assert bool(value.isfinite().all())
    assert leaf.grad is not None
    assert bool(leaf.grad.isfinite().all())

"""f′ of each divergence, from log u."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from paft_api.spec.preference import DpoSpec
from paft_trainer.training.dpo_losses.divergences import scores

DERIVATIVES = {
    "reverse_kl": math.log,
    "forward_kl": lambda u: 1 - 1 / u,
    "js_divergence": lambda u: math.log(2 * u / (u + 1)),
    "alpha_divergence": lambda u: (u**-0.5 - 1) / -0.5,
}
"""From the paper, up to a constant, of u; α is the default."""


def score(log_ratio: float, divergence: str, **options: float) -> float:
    dpo = DpoSpec(f_divergence_type=divergence, **options)  # type: ignore[arg-type]
    return float(scores(torch.tensor([log_ratio]), dpo))


@pytest.mark.parametrize("divergence", DERIVATIVES)
@given(log_ratio=st.floats(min_value=-6, max_value=6, width=32))
def test_scores_are_the_derivatives_of_the_paper(divergence: str, log_ratio: float) -> None:
    assert score(log_ratio, divergence) == pytest.approx(
        DERIVATIVES[divergence](math.exp(log_ratio)), rel=1e-5, abs=1e-5
    )


@pytest.mark.parametrize("divergence", DERIVATIVES)
def test_a_model_that_has_not_moved_scores_nothing(divergence: str) -> None:
    assert score(0.0, divergence) == pytest.approx(0, abs=1e-7)


@given(log_ratio=st.floats(min_value=-6, max_value=6, width=32))
def test_alpha_0_and_1_are_the_two_kullback_leibler_divergences(log_ratio: float) -> None:
    for alpha, other in ((0.0, "forward_kl"), (1.0, "reverse_kl")):
        assert score(log_ratio, "alpha_divergence", f_alpha_divergence_coef=alpha) == score(log_ratio, other)


@pytest.mark.parametrize("divergence", DERIVATIVES)
@pytest.mark.parametrize("log_ratio", [-1000.0, 1000.0])
def test_scores_stay_finite(divergence: str, log_ratio: float) -> None:
    assert math.isfinite(score(log_ratio, divergence))

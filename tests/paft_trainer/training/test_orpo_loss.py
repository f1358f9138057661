"""ORPO's loss: equal to TRL's, exact to the ends of fp32, and what the paper says of its gradient."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from paft_trainer.training.orpo_loss import AnswerLogProbabilities, log_odds, orpo_terms

LOGS = st.floats(min_value=-60, max_value=-(2.0**-20), width=32)
PAIRS = st.lists(st.tuples(LOGS, LOGS), min_size=1, max_size=8)


def answers(pairs: list[tuple[float, float]]) -> AnswerLogProbabilities:
    chosen, rejected = torch.tensor(pairs, dtype=torch.float32).T
    return AnswerLogProbabilities(chosen=chosen, rejected=rejected, chosen_sequence=7 * chosen)


def exact_log_odds(logs: float) -> float:
    return float(np.longdouble(logs) - np.log(-np.expm1(np.longdouble(logs))))


@pytest.mark.filterwarnings("ignore:You are importing from 'trl.experimental'")
@given(PAIRS)
def test_the_loss_of_the_odds_ratio_is_trls(pairs: list[tuple[float, float]]) -> None:
    from trl.experimental.orpo import ORPOTrainer

    ours = orpo_terms(answers(pairs), learnt_tokens=1.0)
    trl = SimpleNamespace(beta=0.3, accelerator=SimpleNamespace(device="cpu"))
    theirs, _, _, ratio, log_odds_chosen = ORPOTrainer.odds_ratio_loss(trl, *torch.tensor(pairs).T)

    torch.testing.assert_close(ours.losses(0.3) - ours.nll, -theirs, atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(ours.log_odds_ratio.mean(), log_odds_chosen, atol=2e-5, rtol=1e-5)
    torch.testing.assert_close((ours.nll - ours.losses(0.3)).mean() / 0.3, ratio, atol=1e-4, rtol=1e-5)


@given(LOGS)
def test_log_odds_are_exact_from_almost_impossible_to_almost_certain(logs: float) -> None:
    found = float(log_odds(torch.tensor(logs, dtype=torch.float32)))

    assert found == pytest.approx(exact_log_odds(np.float32(logs)), rel=1e-6, abs=2e-7)


@given(LOGS)
def test_the_gradient_of_log_odds_is_that_of_the_paper(logs: float) -> None:
    """1/(1-p) with respect to log p: equation 8 divides by 1 - p likewise."""
    given_logs = torch.tensor(logs, dtype=torch.float32, requires_grad=True)
    log_odds(given_logs).backward()

    assert given_logs.grad is not None
    assert float(given_logs.grad) == pytest.approx(-1 / math.expm1(np.float32(logs)), rel=1e-5)


def test_an_answer_that_is_certain_has_finite_odds_and_a_gradient() -> None:
    logs = torch.tensor([[0.0, -1.0], [-1.0, 0.0]], requires_grad=True)
    terms = orpo_terms(
        AnswerLogProbabilities(chosen=logs[0], rejected=logs[1], chosen_sequence=logs[0]), learnt_tokens=1.0
    )
    terms.losses(0.1).sum().backward()

    assert bool(terms.losses(0.1).isfinite().all())
    assert logs.grad is not None
    assert bool(logs.grad.isfinite().all())
    assert bool(terms.log_odds_ratio[0] > 16)


def test_log_odds_of_bf16_are_computed_in_fp32() -> None:
    logs = torch.tensor([-0.001, -0.5, -30.0], dtype=torch.bfloat16)

    assert log_odds(logs).dtype is torch.float32
    torch.testing.assert_close(log_odds(logs), log_odds(logs.float()), rtol=0, atol=0)


@given(PAIRS)
def test_exchanging_the_answers_turns_the_odds_ratio_over(pairs: list[tuple[float, float]]) -> None:
    ratio = orpo_terms(answers(pairs), learnt_tokens=1.0).log_odds_ratio
    turned = orpo_terms(answers([(second, first) for first, second in pairs]), learnt_tokens=1.0).log_odds_ratio

    torch.testing.assert_close(ratio, -turned, rtol=0, atol=0)


def test_the_mean_over_pairs_of_the_likelihood_is_one_over_tokens() -> None:
    sums, tokens = torch.tensor([-6.0, -2.0, -1.0]), [3, 1, 5]
    given_answers = AnswerLogProbabilities(chosen=sums, rejected=sums, chosen_sequence=sums)

    nll = orpo_terms(given_answers, learnt_tokens=sum(tokens) / 3).nll

    assert float(nll.mean()) == pytest.approx(9.0 / 9)

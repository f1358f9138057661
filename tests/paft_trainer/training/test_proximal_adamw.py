"""The proximal step, on its own and inside AdamW."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from paft_trainer.training.proximal_adamw import ProximalAdamW, proximal_threshold, soft_threshold_

OPTIONS = {"lr": 1e-2, "weight_decay": 0.0}


def steps(optimizer: torch.optim.Optimizer, parameter: torch.Tensor, gradients: list[torch.Tensor]) -> None:
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()


@given(weight=st.floats(-2, 2, width=32), threshold=st.floats(0, 1, width=32))
def test_soft_threshold_is_the_proximal_operator_of_the_absolute_value(weight: float, threshold: float) -> None:
    value = float(soft_threshold_(torch.tensor([weight]), torch.tensor([threshold])))
    candidates = torch.linspace(-2.5, 2.5, 100_001, dtype=torch.float64)
    objective = 0.5 * (candidates - weight) ** 2 + threshold * candidates.abs()
    assert value == pytest.approx(float(candidates[objective.argmin()]), abs=1e-4)


def test_threshold_is_lr_lambda_over_adams_denominator() -> None:
    second_moment = torch.tensor([4.0e-6])
    threshold = proximal_threshold(second_moment, step=1, learning_rate=1e-2, beta2=0.999, epsilon=1e-8, strength=1e-3)
    corrected = 4.0e-6 / (1 - 0.999)
    assert float(threshold) == pytest.approx(1e-2 * 1e-3 / (corrected**0.5 + 1e-8), rel=1e-5)


def test_nothing_is_shrunk_where_no_gradient_was_ever_seen() -> None:
    threshold = proximal_threshold(
        torch.tensor([0.0, 1e-20]), step=3, learning_rate=1e-2, beta2=0.999, epsilon=1e-8, strength=1.0
    )
    assert threshold.tolist() == [0.0, pytest.approx(1e-2)]


def test_no_threshold_exceeds_the_learning_rate() -> None:
    threshold = proximal_threshold(
        torch.full((4,), 1e-30), step=1, learning_rate=3e-4, beta2=0.999, epsilon=1e-8, strength=10.0
    )
    assert threshold.max() == pytest.approx(3e-4)


def test_strength_zero_is_torchs_adamw_bit_for_bit() -> None:
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(8, generator=generator)
    gradients = [torch.randn(8, generator=generator) for _ in range(20)]
    ours, theirs = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    steps(ProximalAdamW([ours], l1_strength=0.0, l1_ramp_steps=0, **OPTIONS), ours, gradients)
    steps(torch.optim.AdamW([theirs], **OPTIONS), theirs, gradients)
    assert torch.equal(ours, theirs)


def test_weights_without_a_use_become_exactly_zero_and_useful_ones_stay() -> None:
    generator = torch.Generator().manual_seed(0)
    target = torch.tensor([1.0, 0.0, -1.0, 0.0])
    weight = torch.nn.Parameter(torch.full((4,), 0.05))
    optimizer = ProximalAdamW([weight], l1_strength=0.05, l1_ramp_steps=10, **OPTIONS)
    for _ in range(400):
        noise = 0.01 * torch.randn(4, generator=generator)
        weight.grad = (weight.detach() - target) + noise
        optimizer.step()
    assert weight[1] == 0
    assert weight[3] == 0
    assert weight[0] > 0.8
    assert weight[2] < -0.8


def test_zero_moment_entries_survive_a_strong_penalty() -> None:
    """A of a LoRA pair has no gradient while B is 0; its initialisation must not be wiped out."""
    weight = torch.nn.Parameter(torch.full((4,), 0.3))
    optimizer = ProximalAdamW([weight], l1_strength=10.0, l1_ramp_steps=0, **OPTIONS)
    steps(optimizer, weight, [torch.zeros(4)] * 5)
    assert torch.equal(weight, torch.full((4,), 0.3))


def test_ramp_follows_the_optimizers_state_not_the_calls() -> None:
    """DeepSpeed calls step() once per sub-group, with one group's tensor at a time."""
    first, second = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(2))
    optimizer = ProximalAdamW([first, second], l1_strength=1.0, l1_ramp_steps=4, **OPTIONS)
    for _ in range(2):
        for parameter, other in ((first, second), (second, first)):
            parameter.grad, other.grad = torch.ones(2), None
            optimizer.step()
    assert torch.equal(first, second)
    assert optimizer.strength_at(float(optimizer.state[first]["step"])) == pytest.approx(0.5)

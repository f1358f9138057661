"""How much of A can become zero, against matrices that begin as PEFT's do and shrink step by step."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from paft_trainer.training.proximal_adamw import ramp_at, soft_threshold_
from paft_trainer.training.sparsity_reach import reach_of_a, shrinkage


@pytest.mark.parametrize("fan_in", [32, 576])
def test_the_reach_is_the_share_that_full_thresholds_bring_to_zero(fan_in: int) -> None:
    matrix = torch.empty(64, fan_in)
    torch.nn.init.kaiming_uniform_(matrix, a=math.sqrt(5), generator=torch.Generator().manual_seed(0))
    steps, ramp_steps = 40, 20
    rates = [5e-4 * (1 + math.cos(math.pi * step / steps)) / 2 for step in range(steps)]
    for step, rate in enumerate(rates):
        soft_threshold_(matrix, torch.full_like(matrix, rate * ramp_at(step + 1, ramp_steps)))

    shrunk = shrinkage(rates.__getitem__, total_steps=steps, ramp_steps=ramp_steps)
    reach = reach_of_a([(fan_in, matrix.numel())], shrunk)

    assert float((matrix == 0).float().mean()) == pytest.approx(reach, abs=0.02)


@given(entries=st.lists(st.tuples(st.integers(1, 10_000), st.integers(1, 10**6)), min_size=1), shrunk=st.floats(0, 10))
def test_the_reach_is_a_share(entries: list[tuple[int, int]], shrunk: float) -> None:
    assert 0 <= reach_of_a(entries, shrunk) <= 1


def test_long_schedules_are_sampled() -> None:
    steps = 1_000_000
    shrunk = shrinkage(lambda step: 1e-6 * (1 - step / steps), total_steps=steps, ramp_steps=0)

    assert shrunk == pytest.approx(0.5, rel=1e-3)

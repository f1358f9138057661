"""Weighted sums."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies

from paft_trainer.merge.methods.task_arithmetic import task_arithmetic

FLOATS = st.floats(-100, 100, width=32, allow_subnormal=False)
PAIRS = numpy_strategies.arrays(np.float32, (2, 3, 4), elements=FLOATS).map(torch.from_numpy)
WEIGHTS = st.floats(-10, 10)


@given(PAIRS, WEIGHTS, WEIGHTS)
def test_it_is_the_weighted_sum(pair: torch.Tensor, sft: float, preference: float) -> None:
    merged = task_arithmetic(list(pair), [sft, preference])
    expected = sft * pair[0].double() + preference * pair[1].double()
    scale = (abs(sft) * pair[0].abs() + abs(preference) * pair[1].abs()).double()
    assert bool(((merged.double() - expected).abs() <= 4e-7 * scale + 1e-30).all())


@given(PAIRS)
def test_one_arm_alone_is_that_arm(pair: torch.Tensor) -> None:
    assert torch.equal(task_arithmetic(list(pair), [1.0, 0.0]), pair[0])
    assert torch.equal(task_arithmetic(list(pair), [0.0, 1.0]), pair[1])


@given(PAIRS, WEIGHTS, WEIGHTS)
def test_the_order_of_arms_does_not_matter(pair: torch.Tensor, sft: float, preference: float) -> None:
    one = task_arithmetic(list(pair), [sft, preference])
    other = task_arithmetic(list(pair.flip(0)), [preference, sft])
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-3)


def test_the_inputs_are_left_as_they_are() -> None:
    deltas = [torch.ones(2, 2), torch.full((2, 2), 3.0)]
    task_arithmetic(deltas, [2.0, 2.0])
    assert torch.equal(deltas[0], torch.ones(2, 2))
    assert torch.equal(deltas[1], torch.full((2, 2), 3.0))

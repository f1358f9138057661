"""Weighted means."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies

from paft_trainer.merge.methods.linear import linear

FLOATS = st.floats(-100, 100, width=32, allow_subnormal=False)
PAIRS = numpy_strategies.arrays(np.float32, (2, 3, 4), elements=FLOATS).map(torch.from_numpy)
POSITIVE = st.floats(0.125, 10)


@given(PAIRS, POSITIVE, POSITIVE)
def test_it_is_the_weighted_mean(pair: torch.Tensor, sft: float, preference: float) -> None:
    merged = linear(list(pair), [sft, preference])
    expected = (sft * pair[0].double() + preference * pair[1].double()) / (sft + preference)
    torch.testing.assert_close(merged.double(), expected, rtol=1e-6, atol=5e-5)


@given(PAIRS, POSITIVE, POSITIVE, st.sampled_from([0.25, 0.5, 2.0, 4.0]))
def test_only_the_ratio_of_weights_matters(pair: torch.Tensor, sft: float, preference: float, factor: float) -> None:
    one = linear(list(pair), [sft, preference])
    assert torch.equal(one, linear(list(pair), [factor * sft, factor * preference]))


@given(PAIRS)
def test_equal_arms_are_their_own_mean(pair: torch.Tensor) -> None:
    torch.testing.assert_close(linear([pair[0], pair[0]], [3.0, 1.0]), pair[0], rtol=1e-6, atol=0)

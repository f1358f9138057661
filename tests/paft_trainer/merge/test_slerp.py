"""Spherical interpolation: its ends, its middle, and where it is a line."""

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies

from paft_trainer.merge.inner_products import inner_products
from paft_trainer.merge.methods.slerp import LINEAR_FROM, slerp_weights
from paft_trainer.merge.methods.task_arithmetic import task_arithmetic

FLOATS = st.floats(-10, 10, width=32, allow_subnormal=False)
PAIRS = numpy_strategies.arrays(np.float32, (2, 5, 4), elements=FLOATS).map(torch.from_numpy)
PLACES = st.floats(0, 1)


def interpolated(pair: torch.Tensor, t: float) -> torch.Tensor:
    *squares, product = inner_products([(pair[0], pair[1])])
    return task_arithmetic(list(pair), slerp_weights([1 - t, t], squares=squares, product=product))


@given(PAIRS)
def test_its_ends_are_the_deltas(pair: torch.Tensor) -> None:
    assert torch.equal(interpolated(pair, 0.0), pair[0])
    assert torch.equal(interpolated(pair, 1.0), pair[1])


@given(PAIRS, PLACES)
def test_from_the_other_end_it_is_the_same(pair: torch.Tensor, t: float) -> None:
    torch.testing.assert_close(interpolated(pair, t), interpolated(pair.flip(0), 1 - t), rtol=1e-5, atol=1e-5)


@given(PAIRS, PLACES, st.sampled_from([0.25, 2.0, 8.0]))
def test_it_scales_with_the_deltas(pair: torch.Tensor, t: float, factor: float) -> None:
    torch.testing.assert_close(interpolated(pair * factor, t), interpolated(pair, t) * factor, rtol=1e-5, atol=1e-5)


@given(PAIRS, PLACES)
def test_deltas_of_one_length_keep_it(pair: torch.Tensor, t: float) -> None:
    lengths = pair.double().flatten(1).norm(dim=1)
    assume(bool((lengths > 1e-2).all()))
    unit = (pair.double() / lengths.view(2, 1, 1)).float()
    cosine = float((unit[0].double() * unit[1].double()).sum())
    assume(abs(cosine) < LINEAR_FROM - 1e-3)
    assert float(interpolated(unit, t).double().norm()) == pytest.approx(1.0, abs=1e-4)


def test_the_middle_of_a_right_angle() -> None:
    pair = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]])
    half = math.sqrt(0.5)
    torch.testing.assert_close(interpolated(pair, 0.5), torch.tensor([[half, half]]))


@given(PAIRS, PLACES)
def test_what_is_parallel_opposite_or_0_is_a_line(pair: torch.Tensor, t: float) -> None:
    for other in (pair[0] * 2, -pair[0], torch.zeros_like(pair[0])):
        line = (1 - t) * pair[0] + t * other
        torch.testing.assert_close(interpolated(torch.stack([pair[0], other]), t), line, rtol=1e-5, atol=1e-5)


@given(PAIRS)
def test_inner_products_do_not_depend_on_how_rows_are_grouped(pair: torch.Tensor) -> None:
    whole = inner_products([(pair[0], pair[1])])
    assert inner_products((pair[0][row : row + 1], pair[1][row : row + 1]) for row in range(5)) == whole
    assert whole[2] == pytest.approx(float((pair[0].double() * pair[1].double()).sum()), rel=1e-12, abs=1e-12)

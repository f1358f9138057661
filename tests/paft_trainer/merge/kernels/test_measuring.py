"""Counts, sums and meetings against numpy."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies

from paft_trainer.merge.arithmetic import LOWER_BINS, UPPER_BINS
from paft_trainer.merge.cpu_arithmetic import CpuArithmetic

FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)
SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 40))
MATRICES = SHAPES.flatmap(lambda shape: numpy_strategies.arrays(np.float32, shape, elements=FINITE))
MODEST = st.one_of(st.sampled_from([0.0, -0.0, 1.0, -1.0]), st.floats(-1e3, 1e3, width=32))
PAIRS = SHAPES.flatmap(lambda shape: numpy_strategies.arrays(np.float32, (2, *shape), elements=MODEST))


@given(MATRICES, st.sampled_from([1.0, -1.0, 0.3]))
def test_every_entry_is_counted_by_the_bits_of_its_magnitude(delta: np.ndarray, factor: float) -> None:
    bits = np.abs(delta * np.float32(factor)).view(np.uint32).ravel()
    upper, lower = np.zeros(UPPER_BINS, np.int64), np.zeros(LOWER_BINS, np.int64)
    CpuArithmetic().count_upper_bits(delta, upper, factor=factor)
    assert np.array_equal(upper, np.bincount(bits >> 16, minlength=UPPER_BINS))
    bin_ = int(bits[0]) >> 16
    CpuArithmetic().count_lower_bits(delta, lower, factor=factor, bin_=bin_)
    assert np.array_equal(lower, np.bincount(bits[bits >> 16 == bin_] & 0xFFFF, minlength=LOWER_BINS))
    CpuArithmetic().count_upper_bits(delta, upper, factor=factor)
    assert upper.sum() == 2 * delta.size


@given(PAIRS)
def test_sums_along_rows_are_those_of_float64(pair: np.ndarray) -> None:
    first, second = pair.astype(np.float64)
    np.testing.assert_allclose(CpuArithmetic().magnitude_sums(pair[0]), np.abs(first).sum(axis=1), rtol=1e-14)
    sums = CpuArithmetic().product_sums(*pair)
    np.testing.assert_allclose(sums, (first * second).sum(axis=1), rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(CpuArithmetic().distance(*pair), np.abs(first - second), rtol=1e-7)


@given(PAIRS)
def test_rows_are_summed_alone(pair: np.ndarray) -> None:
    for row in range(pair.shape[1]):
        one = pair[:, row : row + 1]
        assert CpuArithmetic().magnitude_sums(one[0]) == [CpuArithmetic().magnitude_sums(pair[0])[row]]
        assert CpuArithmetic().product_sums(*one) == [CpuArithmetic().product_sums(*pair)[row]]


@given(PAIRS)
def test_how_two_deltas_meet(pair: np.ndarray) -> None:
    meeting = CpuArithmetic().meet(*pair)
    assert meeting.first == np.count_nonzero(pair[0])
    assert meeting.second == np.count_nonzero(pair[1])
    assert meeting.both == np.count_nonzero((pair[0] != 0) & (pair[1] != 0))
    assert meeting.opposed == np.count_nonzero(np.sign(pair[0]) * np.sign(pair[1]) < 0)

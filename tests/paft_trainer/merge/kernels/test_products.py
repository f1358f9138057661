"""ΔW has one value: each product and each sum is rounded to fp32 by itself, in the order of r."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies

from paft_trainer.merge.kernels.products import delta_rows, gram

Matrix = np.ndarray

FLOATS = st.one_of(
    st.sampled_from([0.0, 0.0, 0.0, -0.0, 2.0**-100, -(2.0**40)]),
    st.floats(-8, 8, width=32),
    st.floats(-(2.0**-10), 2.0**-10, width=32),
)


def one_by_one(b: Matrix, a: Matrix, scale: float) -> Matrix:
    """What the kernel promises, by numpy's fp32."""
    total = np.zeros((b.shape[0], a.shape[1]), np.float32)
    for rank in range(b.shape[1]):
        total = total + b[:, rank : rank + 1] * a[rank : rank + 1]
    return total * np.float32(scale)


def delta(b: Matrix, a: Matrix, scale: float) -> Matrix:
    out = np.full((b.shape[0], a.shape[1]), np.nan, np.float32)
    delta_rows(b, a, np.float32(scale), out)
    return out


def random_factors(rank: int, rows: int, columns: int) -> tuple[Matrix, Matrix]:
    generator = np.random.default_rng(rank)
    return (
        generator.standard_normal((rows, rank)).astype(np.float32),
        generator.standard_normal((rank, columns)).astype(np.float32),
    )


@pytest.mark.parametrize("rank", range(1, 41))
def test_bit_for_bit_at_every_rank(rank: int) -> None:
    for rows, columns in ((1, 33), (2, 1), (7, 129)):
        b, a = random_factors(rank, rows, columns)
        assert np.array_equal(delta(b, a, 2 / 3).view(np.uint32), one_by_one(b, a, 2 / 3).view(np.uint32))


@given(st.integers(1, 20), st.integers(1, 5), st.integers(1, 9), st.sampled_from([1.0, -2 / 3]), st.data())
def test_skipping_zeros_changes_no_bit(rank: int, rows: int, columns: int, scale: float, data: st.DataObject) -> None:
    b = data.draw(numpy_strategies.arrays(np.float32, (rows, rank), elements=FLOATS))
    a = data.draw(numpy_strategies.arrays(np.float32, (rank, columns), elements=FLOATS))
    assert np.array_equal(delta(b, a, scale).view(np.uint32), one_by_one(b, a, scale).view(np.uint32))


@pytest.mark.parametrize("rank", [3, 8, 19])
def test_rows_are_computed_alone(rank: int) -> None:
    b, a = random_factors(rank, 11, 40)
    b[4:7] = 0
    whole = delta(b, a, 0.5)
    for height in (1, 2, 3, 5):
        parts = [delta(b[start : start + height], a, 0.5) for start in range(0, 11, height)]
        assert np.array_equal(np.concatenate(parts).view(np.uint32), whole.view(np.uint32))


def test_inner_products_are_those_of_float64() -> None:
    generator = np.random.default_rng(0)
    left, right = (generator.standard_normal((5000, columns)).astype(np.float32) for columns in (3, 7))
    exact = left.astype(np.float64).T @ right.astype(np.float64)
    np.testing.assert_allclose(gram(left, right), exact, rtol=1e-12, atol=1e-10)
    assert np.array_equal(gram(left, right), gram(right, left).T)

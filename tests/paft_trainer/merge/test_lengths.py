"""Lengths and angles from factors are those of the deltas in float64."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.merged_matrices import factors_of, random_factors

from paft_trainer.adapters import Factors
from paft_trainer.merge.lengths import Lengths, lengths_of, sum_of


def dense(factors: Factors) -> np.ndarray:
    """ΔW in float64."""
    return factors.scale * (factors.b.double().numpy() @ factors.a.double().numpy())


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 40), st.integers(1, 40), st.integers(0, 99))
def test_they_are_those_of_the_deltas(one: int, other: int, rows: int, columns: int, seed: int) -> None:
    first = random_factors(one, rows, columns, seed=seed)
    second = random_factors(other, rows, columns, seed=seed + 1)
    lengths = lengths_of(first, second)
    deltas = dense(first), dense(second)
    assert lengths.lengths == pytest.approx([np.linalg.norm(delta) for delta in deltas], rel=1e-9)
    product = float((deltas[0] * deltas[1]).sum())
    assert lengths.product == pytest.approx(product, rel=1e-9, abs=1e-12 * lengths.lengths[0] * lengths.lengths[1])
    assert lengths.cosine == pytest.approx(product / lengths.lengths[0] / lengths.lengths[1], abs=1e-9)


def test_parallel_opposed_and_missing_deltas() -> None:
    delta = np.random.default_rng(0).standard_normal((5, 7)).astype(np.float32)
    one, opposed = factors_of(delta), factors_of(-2 * delta)
    assert lengths_of(one, one).cosine == pytest.approx(1.0, abs=1e-12)
    assert lengths_of(one, opposed).cosine == pytest.approx(-1.0, abs=1e-12)
    assert abs(lengths_of(one, opposed).cosine or 0.0) <= 1.0
    assert lengths_of(one, None) == Lengths(first=lengths_of(one, one).first, second=0.0, product=0.0)
    assert lengths_of(one, None).cosine is None
    assert lengths_of(None, None).lengths == (0.0, 0.0)


def test_factors_that_cancel_have_no_negative_square() -> None:
    b = torch.ones(3, 2)
    a = torch.tensor([[1.1, 0.3], [-1.1, -0.3]])
    lengths = lengths_of(Factors(a=a, b=b, scale=0.1), None)
    assert lengths.first >= 0
    assert lengths.lengths[0] < 1e-6


def test_of_all_tensors_together() -> None:
    parts = [Lengths(first=9.0, second=1.0, product=1.0), Lengths(first=16.0, second=3.0, product=-2.0)]
    together = sum_of(parts)
    assert together == Lengths(first=25.0, second=4.0, product=-1.0)
    assert together.lengths == (5.0, 2.0)
    assert together.cosine == pytest.approx(-0.1)
    assert math.isclose(sum_of(parts[::-1]).first, together.first)

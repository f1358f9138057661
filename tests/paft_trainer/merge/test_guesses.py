"""Guesses from samples: they lie near, and whether they do is noticed."""

import math

import numpy as np
import pytest
from tests.merged_matrices import random_factors

from paft_trainer.adapters import Factors
from paft_trainer.merge.cpu_arithmetic import CpuArithmetic
from paft_trainer.merge.guesses import MARGIN, NOWHERE, SAMPLED_ENTRIES, Bounds, found, guess, sample_of
from paft_trainer.merge.questions import Stream, Threshold
from paft_trainer.merge.rows import Rows

ROWS, COLUMNS = 1900, 1100
WHOLE = Rows(start=0, stop=ROWS, columns=COLUMNS)
ARITHMETIC = CpuArithmetic()


def sparse_factors() -> Factors:
    """Whole rows and single entries of B are 0, as an L1 penalty leaves them."""
    factors = random_factors(8, ROWS, COLUMNS, seed=1)
    b = factors.b.copy()
    generator = np.random.default_rng(0)
    b[generator.random(ROWS) < 0.4] = 0
    b[generator.random(b.shape) < 0.4] = 0
    return Factors(a=factors.a, b=b, scale=factors.scale)


@pytest.mark.parametrize("kept", [0.05, 0.3, 0.5, 0.58, 0.9])
def test_a_sample_tells_where_the_threshold_of_a_large_tensor_lies(kept: float) -> None:
    factors = sparse_factors(), random_factors(16, ROWS, COLUMNS)
    samples = sample_of(factors, WHOLE, ARITHMETIC)
    for stream, one, sample in zip((Stream.FIRST, Stream.SECOND), factors, samples, strict=True):
        assert sample.size < 1.5 * SAMPLED_ENTRIES < ROWS * COLUMNS
        threshold = Threshold(stream=stream, kept=kept)
        bounds = guess(threshold, ARITHMETIC.magnitudes(sample, factor=1.0))
        delta = ARITHMETIC.delta(one, WHOLE)
        between = ARITHMETIC.between(delta, factor=1.0, low=bounds.low, high=bounds.high)
        in_order = np.sort(np.abs(delta), axis=None)[::-1]
        assert found(threshold, between, entries=delta.size) == float(in_order[threshold.rank(delta.size) - 1])
        assert len(between.values) < 3 * MARGIN * delta.size


def test_a_missing_arm_is_sampled_as_zeros() -> None:
    first, second = sample_of((None, random_factors(4, ROWS, COLUMNS)), WHOLE, ARITHMETIC)
    assert first.shape == second.shape
    assert not first.any()
    assert second.any()


def test_a_small_tensor_is_sampled_whole() -> None:
    rows = Rows(start=0, stop=30, columns=20)
    factors = random_factors(3, 30, 20), random_factors(5, 30, 20, seed=1)
    for sample, one in zip(sample_of(factors, rows, ARITHMETIC), factors, strict=True):
        assert np.array_equal(sample, ARITHMETIC.delta(one, rows))


def test_a_threshold_that_is_probably_0_needs_only_a_count() -> None:
    sample = np.array([0.0] * 90 + [1.0] * 10, np.float32)
    threshold = Threshold(stream=Stream.FIRST, kept=0.5)
    assert guess(threshold, sample) == NOWHERE
    assert guess(threshold, np.zeros(100, np.float32)) == NOWHERE
    between = ARITHMETIC.between(sample.reshape(1, -1), factor=1.0, low=math.inf, high=math.inf)
    assert found(threshold, between, entries=100) == 0.0


@pytest.mark.parametrize("bounds", [Bounds(low=0.1, high=0.2), Bounds(low=0.7, high=0.9)])
def test_a_wrong_guess_is_noticed(bounds: Bounds) -> None:
    delta = np.linspace(0.001, 1.0, 1000, dtype=np.float32).reshape(10, 100)
    between = ARITHMETIC.between(delta, factor=1.0, low=bounds.low, high=bounds.high)
    assert found(Threshold(stream=Stream.FIRST, kept=0.5), between, entries=1000) is None

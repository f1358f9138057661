"""Model Stock for two adapters."""

import math

import numpy as np
import pytest
from hypothesis import given
from tests.merge_strategies import CHUNKS, PAIRS, assert_is_reference, assert_same_bits, merged_alone, options_with
from tests.merged_matrices import merge_matrices, options_of

from paft_api.spec.merge import MergeOptions


@given(PAIRS, options_with("model_stock"), CHUNKS)
def test_it_is_the_papers_formula(pair: np.ndarray, options: MergeOptions, chunk: int) -> None:
    assert_is_reference(pair, options, chunk_elements=chunk)


@pytest.mark.parametrize(("degrees", "share"), [(0, 1.0), (60, 2 / 3), (90, 0.0), (120, 0.0), (180, 0.0)])
def test_the_share_of_the_mean_that_stays(degrees: float, share: float) -> None:
    angle = math.radians(degrees)
    first, second = np.array([[2.0, 0.0]], np.float32), np.array([[math.cos(angle), math.sin(angle)]], np.float32)
    merged = merge_matrices(first, second, options_of("model_stock"))
    np.testing.assert_allclose(merged, share * (first + second) / 2, rtol=1e-5, atol=1e-6)


def test_mergekit_goes_beyond_the_base_where_deltas_are_opposed() -> None:
    angle = math.radians(120)
    first, second = np.array([[1.0, 0.0]], np.float32), np.array([[math.cos(angle), math.sin(angle)]], np.float32)
    merged = merge_matrices(first, second, options_of("model_stock", preset="mergekit"))
    np.testing.assert_allclose(merged, -2 * (first + second) / 2, rtol=1e-5)


@given(PAIRS)
def test_equal_arms_are_what_they_are_and_one_alone_is_nothing(pair: np.ndarray) -> None:
    merged = merge_matrices(pair[0], pair[0], options_of("model_stock"))
    np.testing.assert_allclose(merged, pair[0], rtol=1e-6)
    assert not merged_alone(pair[0], options_of("model_stock"), arm=0).any()


@given(PAIRS)
def test_the_order_of_arms_does_not_matter(pair: np.ndarray) -> None:
    options = options_of("model_stock")
    assert_same_bits(merge_matrices(pair[0], pair[1], options), merge_matrices(pair[1], pair[0], options))

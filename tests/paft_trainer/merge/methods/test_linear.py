"""Weighted means."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tests.merge_strategies import CHUNKS, PAIRS, assert_is_reference, assert_same_bits, options_with
from tests.merged_matrices import merge_matrices, options_of

from paft_api.spec.merge import MergeOptions

POSITIVE = st.floats(0.125, 2)


@given(PAIRS, options_with("linear"), CHUNKS)
def test_it_is_the_weighted_mean(pair: np.ndarray, options: MergeOptions, chunk: int) -> None:
    assert_is_reference(pair, options, chunk_elements=chunk)


@given(PAIRS, POSITIVE, POSITIVE, st.sampled_from([-4.0, -1.0, 0.25, 0.5, 2.0, 4.0]))
def test_only_the_ratio_of_weights_matters(pair: np.ndarray, sft: float, preference: float, factor: float) -> None:
    one = options_of("linear", weights=[{"sft": sft, "preference": preference}])
    other = options_of("linear", weights=[{"sft": factor * sft, "preference": factor * preference}])
    assert_same_bits(merge_matrices(*pair, one), merge_matrices(*pair, other))


@given(PAIRS, POSITIVE, POSITIVE)
def test_equal_arms_are_their_own_mean(pair: np.ndarray, sft: float, preference: float) -> None:
    options = options_of("linear", weights=[{"sft": sft, "preference": preference}])
    np.testing.assert_allclose(merge_matrices(pair[0], pair[0], options), pair[0], rtol=4e-7)


@given(PAIRS)
def test_the_order_of_arms_does_not_matter(pair: np.ndarray) -> None:
    one = options_of("linear", weights=[{"sft": 0.25, "preference": 1.5}])
    other = options_of("linear", weights=[{"sft": 1.5, "preference": 0.25}])
    assert_same_bits(merge_matrices(pair[0], pair[1], one), merge_matrices(pair[1], pair[0], other))

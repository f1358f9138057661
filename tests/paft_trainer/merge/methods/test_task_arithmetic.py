"""Weighted sums."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tests.merge_strategies import CHUNKS, PAIRS, assert_is_reference, assert_same_bits, merged_alone, options_with
from tests.merged_matrices import merge_matrices, options_of

from paft_api.spec.merge import MergeOptions

WEIGHTS = st.floats(-10, 10)


@given(PAIRS, options_with("task_arithmetic"), CHUNKS)
def test_it_is_the_weighted_sum(pair: np.ndarray, options: MergeOptions, chunk: int) -> None:
    assert_is_reference(pair, options, chunk_elements=chunk)


@given(PAIRS, WEIGHTS)
def test_an_arm_of_weight_0_and_one_that_does_not_adapt_the_module_have_no_part(
    pair: np.ndarray, weight: float
) -> None:
    alone = [options_of("task_arithmetic", weights=[dict(zip(("sft", "preference"), pair_, strict=True))]) for pair_ in
             ((1.0, 0.0), (0.0, 1.0), (1.0, weight))]  # fmt: skip
    assert_same_bits(merge_matrices(*pair, alone[0]), pair[0])
    assert_same_bits(merge_matrices(*pair, alone[1]), pair[1])
    assert_same_bits(merged_alone(pair[0], alone[2], arm=0), pair[0])


@given(PAIRS, WEIGHTS, WEIGHTS)
def test_the_order_of_arms_does_not_matter(pair: np.ndarray, sft: float, preference: float) -> None:
    one = options_of("task_arithmetic", weights=[{"sft": sft, "preference": preference}])
    other = options_of("task_arithmetic", weights=[{"sft": preference, "preference": sft}])
    assert_same_bits(merge_matrices(pair[0], pair[1], one), merge_matrices(pair[1], pair[0], other))


@given(PAIRS, st.sampled_from([-4.0, -0.5, 0.25, 2.0]))
def test_lambda_is_a_factor_of_both_weights(pair: np.ndarray, factor: float) -> None:
    scaled = options_of("task_arithmetic", **{"lambda": factor})
    weighted = options_of("task_arithmetic", weights=[{"sft": factor, "preference": factor}])
    assert_same_bits(merge_matrices(*pair, scaled), merge_matrices(*pair, weighted))


@given(PAIRS)
def test_balanced_arms_have_the_mean_of_their_lengths(pair: np.ndarray) -> None:
    only_sft, only_preference = (
        merge_matrices(*pair, options_of("task_arithmetic", balance="Tensor", weights=[weights])).astype(np.float64)
        for weights in ({"sft": 1.0, "preference": 0.0}, {"sft": 0.0, "preference": 1.0})
    )
    lengths = [float(np.linalg.norm(delta.astype(np.float64))) for delta in pair]
    wanted = [sum(lengths) / 2] * 2 if min(lengths) > 0 else lengths
    np.testing.assert_allclose([np.linalg.norm(only_sft), np.linalg.norm(only_preference)], wanted, rtol=1e-6)

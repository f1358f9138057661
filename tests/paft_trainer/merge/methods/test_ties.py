"""TIES: trimming, sign election and disjoint mean."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies
from tests.merge_strategies import (
    CHUNKS,
    DENSITIES,
    PAIRS,
    assert_is_reference,
    assert_same_bits,
    merged_alone,
    options_with,
)
from tests.merged_matrices import merge_matrices, options_of

from paft_api.spec.merge import MergeOptions

FULL = options_of("ties", density=1.0)


def weighted(sft: float, preference: float, **more: object) -> MergeOptions:
    return options_of("ties", density=1.0, weights=[{"sft": sft, "preference": preference}], **more)


@given(PAIRS, options_with("ties"), CHUNKS)
def test_it_is_the_papers_formula(pair: np.ndarray, options: MergeOptions, chunk: int) -> None:
    assert_is_reference(pair, options, chunk_elements=chunk)


def merged_row(sft: list[float], preference: list[float], options: MergeOptions) -> list[float]:
    one, other = (np.array([values], np.float32) for values in (sft, preference))
    return [float(value) for value in merge_matrices(one, other, options)[0]]


def test_the_papers_cases() -> None:
    sft = [3.0, 3.0, 0.0, 2.0, 0.0, -1.0]
    preference = [1.0, -1.0, -2.0, -2.0, 0.0, -3.0]
    assert merged_row(sft, preference, FULL) == [2.0, 3.0, -2.0, 0.0, 0.0, -2.0]
    # Half of each is trimmed first: the -1 of the last entry and of the second, and what is 0.
    assert merged_row(sft, preference, options_of("ties", density=0.5)) == [3.0, 3.0, -2.0, 0.0, 0.0, -3.0]


def test_mergekit_elects_plus_where_votes_are_in_balance() -> None:
    assert merged_row([2.0, -2.0], [-2.0, 2.0], weighted(1.0, 1.0, preset="mergekit")) == [2.0, 2.0]


def test_an_arm_of_weight_0_has_no_vote_unless_votes_are_unweighted() -> None:
    assert merged_row([1.0, 0.0], [-100.0, -100.0], weighted(1.0, 0.0)) == [1.0, 0.0]
    assert merged_row([1.0, 0.0], [-100.0, -100.0], weighted(1.0, 0.0, election="Unweighted")) == [0.0, 0.0]


def test_weights_decide_the_election() -> None:
    assert merged_row([1.0], [-2.0], weighted(1.0, 1.0)) == [-2.0]
    assert merged_row([1.0], [-2.0], weighted(3.0, 1.0)) == [1.0]
    assert merged_row([1.0], [-2.0], weighted(3.0, 1.0, election="Unweighted")) == [-2.0]
    assert merged_row([1.0], [-2.0], weighted(1.0, -1.0)) == [1.5]


def test_without_normalisation_what_agrees_is_added_up() -> None:
    assert merged_row([1.0, 1.0], [3.0, -2.0], weighted(0.5, 2.0, normalize=False)) == [6.5, -4.0]


@given(PAIRS, DENSITIES)
def test_one_arm_alone_is_trimmed_and_nothing_else(pair: np.ndarray, density: float) -> None:
    options = options_of("ties", density=density)
    kept = int(density * pair[0].size)
    in_order = np.sort(np.abs(pair[0]), axis=None)[::-1]
    wanted = np.where(np.abs(pair[0]) >= in_order[kept - 1], pair[0], 0) if kept else np.zeros_like(pair[0])
    nothing = np.zeros_like(pair[0])
    assert_same_bits(merge_matrices(pair[0], nothing, options), wanted)
    assert_same_bits(merge_matrices(nothing, pair[0], options), wanted)
    assert_same_bits(merge_matrices(pair[0], pair[0], options), wanted)
    assert_same_bits(merged_alone(pair[0], options, arm=1), wanted)


@given(PAIRS, options_with("ties"))
def test_the_order_of_arms_does_not_matter(pair: np.ndarray, options: MergeOptions) -> None:
    (weights,) = options.weights
    swapped = weights.model_copy(update={"sft": weights.preference, "preference": weights.sft})
    other = options.model_copy(update={"weights": (swapped,)})
    assert_same_bits(merge_matrices(pair[0], pair[1], options), merge_matrices(pair[1], pair[0], other))


@given(PAIRS, DENSITIES, st.sampled_from([0.25, 0.5, 2.0, 8.0]))
def test_larger_deltas_give_a_larger_merge_and_larger_weights_do_not(
    pair: np.ndarray, density: float, factor: float
) -> None:
    options = options_of("ties", density=density)
    heavier = options_of("ties", density=density, weights=[{"sft": factor, "preference": factor}])
    merged = merge_matrices(*pair, options)
    assert_same_bits(merge_matrices(*(pair * np.float32(factor)), options), merged * np.float32(factor))
    assert_same_bits(merge_matrices(*pair, heavier), merged)


@given(PAIRS, st.data())
def test_disjoint_supports_add_up(pair: np.ndarray, data: st.DataObject) -> None:
    mask = data.draw(numpy_strategies.arrays(np.bool_, pair[0].shape))
    sft, preference = np.where(mask, pair[0], 0), np.where(mask, 0, pair[1])
    assert_same_bits(merge_matrices(sft, preference, FULL), sft + preference)


@pytest.mark.parametrize(("density", "kept"), [(0.5, 50), (0.29, 28), (0.999, 99), (0.001, 0), (0.0, 0), (1.0, 100)])
def test_a_share_of_an_entry_is_not_kept(density: float, kept: int) -> None:
    delta = np.arange(1, 101, dtype=np.float32).reshape(10, 10)
    merged = merged_alone(delta, options_of("ties", density=density), arm=0)
    assert np.array_equal(merged, np.where(delta > 100 - kept, delta, 0))

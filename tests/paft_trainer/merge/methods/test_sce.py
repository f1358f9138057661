"""SCE: select, calculate, erase."""

import numpy as np
from hypothesis import given
from tests.merge_strategies import CHUNKS, DENSITIES, PAIRS, assert_is_reference, assert_same_bits, options_with
from tests.merged_matrices import merge_matrices, options_of

from paft_api.spec.merge import MergeOptions


@given(PAIRS, options_with("sce"), CHUNKS)
def test_it_is_the_papers_formula(pair: np.ndarray, options: MergeOptions, chunk: int) -> None:
    assert_is_reference(pair, options, chunk_elements=chunk)


def test_a_case_by_hand() -> None:
    sft, preference = np.array([[3.0, 1.0, 4.0, 0.0]], np.float32), np.array([[3.0, -2.0, 2.0, 0.0]], np.float32)
    # Distances 0, 3, 2, 0: the second and third entry are selected; squares 17 and 8.
    merged = merge_matrices(sft, preference, options_of("sce", density=0.5))
    np.testing.assert_allclose(merged, [[0.0, -2.0, (17 * 4 + 8 * 2) / 25, 0.0]], rtol=1e-6)


@given(PAIRS)
def test_one_arm_alone_is_selected_by_its_magnitudes(pair: np.ndarray) -> None:
    nothing = np.zeros_like(pair[0])
    trimmed = merge_matrices(pair[0], nothing, options_of("ties", density=0.4))
    assert_same_bits(merge_matrices(pair[0], nothing, options_of("sce", density=0.4)), trimmed)
    assert_same_bits(merge_matrices(nothing, pair[0], options_of("sce", density=0.4)), trimmed)


@given(PAIRS, DENSITIES)
def test_the_order_of_arms_does_not_matter(pair: np.ndarray, density: float) -> None:
    options = options_of("sce", density=density)
    assert_same_bits(merge_matrices(pair[0], pair[1], options), merge_matrices(pair[1], pair[0], options))


@given(PAIRS)
def test_equal_arms_are_what_they_are_for_both_presets(pair: np.ndarray) -> None:
    for preset in ("paft", "mergekit"):
        merged = merge_matrices(pair[0], pair[0], options_of("sce", preset=preset, density=1.0))
        np.testing.assert_allclose(merged, pair[0], rtol=4e-7)


def test_mergekit_counts_entries_that_differ_and_paft_all() -> None:
    sft = np.array([[4.0, 3.0, 2.0, 1.0, 0.0, 0.0, 0.0, 0.0]], np.float32)
    nothing = np.zeros_like(sft)
    assert merge_matrices(sft, nothing, options_of("sce", density=0.5)).tolist() == sft.tolist()
    mergekit = merge_matrices(sft, nothing, options_of("sce", preset="mergekit", density=0.5))
    assert mergekit.tolist() == [[4.0, 3.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]]


def test_mergekit_weighs_arms_alike_where_their_squares_are_tiny() -> None:
    sft, preference = np.full((2, 2), 4e-4, np.float32), np.full((2, 2), 1e-4, np.float32)
    mergekit = merge_matrices(sft, preference, options_of("sce", preset="mergekit"))
    np.testing.assert_allclose(mergekit, np.full((2, 2), 2.5e-4), rtol=1e-6)
    ours = merge_matrices(sft, preference, options_of("sce", density=1.0))
    np.testing.assert_allclose(ours, np.full((2, 2), (16 * 4 + 1) / 17 * 1e-4), rtol=1e-6)

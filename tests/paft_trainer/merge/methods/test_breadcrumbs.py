"""Model breadcrumbs: a band of magnitudes stays."""

import numpy as np
import pytest
from hypothesis import given
from tests.merge_strategies import CHUNKS, DENSITIES, PAIRS, assert_is_reference, assert_same_bits, options_with
from tests.merged_matrices import merge_matrices, options_of

from paft_api.spec.merge import MergeOptions


@given(PAIRS, options_with("breadcrumbs"), CHUNKS)
def test_it_is_the_papers_formula(pair: np.ndarray, options: MergeOptions, chunk: int) -> None:
    assert_is_reference(pair, options, chunk_elements=chunk)


@pytest.mark.parametrize(
    ("density", "gamma", "stays"),
    [
        (0.5, 0.01, range(50, 100)),
        (0.5, 0.2, range(31, 81)),
        (0.5, 0.9, range(1, 51)),  # gamma gives way to the density
        (1.0, 0.5, range(1, 101)),
        (0.01, 0.99, range(1, 2)),
        (0.0, 0.5, range(0)),
    ],
)
def test_gamma_of_the_largest_goes_and_density_of_the_next_stays(density: float, gamma: float, stays: range) -> None:
    delta = np.arange(1, 101, dtype=np.float32).reshape(10, 10)
    options = options_of("breadcrumbs", density=density, gamma=gamma, weights=[{"sft": 1.0, "preference": 0.0}])
    merged = merge_matrices(delta, delta, options)
    assert [int(value) for value in merged[merged != 0]] == list(stays)


@given(PAIRS, DENSITIES)
def test_without_gamma_it_is_a_sum_of_trimmed_deltas(pair: np.ndarray, density: float) -> None:
    trimmed = [
        merge_matrices(delta, np.zeros_like(delta), options_of("ties", density=density)) for delta in pair
    ]  # fmt: skip
    merged = merge_matrices(*pair, options_of("breadcrumbs", density=density, gamma=0.0))
    assert_same_bits(merged, trimmed[0] + trimmed[1])


def test_the_only_entry_stays() -> None:
    delta = np.array([[3.0]], np.float32)
    assert merge_matrices(delta, delta, options_of("breadcrumbs", density=1.0)).tolist() == [[6.0]]

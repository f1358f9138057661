"""DARE with a weighted sum."""

import numpy as np
import pytest
from hypothesis import given
from tests.merge_strategies import CHUNKS, PAIRS, assert_is_reference, assert_same_bits, options_with
from tests.merged_matrices import merge_matrices, options_of

from paft_api.spec.merge import MergeOptions

SFT = [{"sft": 1.0, "preference": 0.0}]
PREFERENCE = [{"sft": 0.0, "preference": 1.0}]


@given(PAIRS, options_with("dare_linear"), CHUNKS)
def test_it_is_the_papers_formula(pair: np.ndarray, options: MergeOptions, chunk: int) -> None:
    assert_is_reference(pair, options, chunk_elements=chunk)


@given(PAIRS, options_with("dare_linear"))
def test_density_1_drops_nothing_and_density_0_all(pair: np.ndarray, options: MergeOptions) -> None:
    shared = {"weights": options.weights, "balance": options.balance, "lambda_": options.lambda_}
    everything = merge_matrices(*pair, options.model_copy(update={"density": 1.0}))
    summed = options_of("task_arithmetic").model_copy(update=shared)
    assert_same_bits(everything, merge_matrices(*pair, summed))
    assert not merge_matrices(*pair, options.model_copy(update={"density": 0.0})).any()


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
def test_the_mean_stays(seed: int) -> None:
    ones = np.ones((100, 200), np.float32)
    merged = merge_matrices(ones, ones, options_of("dare_linear", density=0.25, seed=seed, weights=SFT))
    assert set(np.unique(merged)) == {0.0, 4.0}
    assert abs(float(merged.mean()) - 1.0) < 0.06


def test_rescaling_by_norm_keeps_the_sum_of_magnitudes_and_none_rescales_nothing() -> None:
    delta = np.random.default_rng(3).standard_normal((50, 60)).astype(np.float32)
    by_norm, plain = (
        merge_matrices(delta, delta, options_of("dare_linear", density=0.3, rescale=rescale, weights=SFT))
        for rescale in ("Norm", "None")
    )
    np.testing.assert_allclose(np.abs(by_norm).sum(dtype=np.float64), np.abs(delta).sum(dtype=np.float64), rtol=1e-6)
    assert set(plain.ravel()) <= {0.0, *delta.ravel()}


def test_arms_and_seeds_have_masks_of_their_own() -> None:
    ones = np.ones((100, 100), np.float32)
    merged = [
        merge_matrices(ones, ones, options_of("dare_linear", density=0.5, seed=seed, weights=weights)) != 0
        for seed in (0, 1)
        for weights in (SFT, PREFERENCE)
    ]
    for index, mask in enumerate(merged):
        for other in merged[:index]:
            assert 0.45 < float((mask == other).mean()) < 0.55

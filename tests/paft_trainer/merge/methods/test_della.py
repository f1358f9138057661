"""DELLA: probabilities by rank in a row."""

import numpy as np
import pytest
from hypothesis import given
from tests.merge_strategies import CHUNKS, PAIRS, assert_is_reference, assert_same_bits, options_with
from tests.merged_matrices import merge_matrices, options_of

from paft_api.spec.merge import MergeOptions

SFT = [{"sft": 1.0, "preference": 0.0}]


@given(PAIRS, options_with("della"), CHUNKS)
def test_it_is_the_papers_formula(pair: np.ndarray, options: MergeOptions, chunk: int) -> None:
    assert_is_reference(pair, options, chunk_elements=chunk)


def kept(delta: np.ndarray, **fields: object) -> np.ndarray:
    """Which entries stay."""
    return merge_matrices(delta, np.zeros_like(delta), options_of("della", rescale="None", **fields)) != 0


def test_the_share_kept_rises_with_the_rank() -> None:
    rows, columns = 2000, 50
    delta = np.random.default_rng(5).standard_normal((rows, columns)).astype(np.float32)
    mask = kept(delta, density=0.6, epsilon=0.3)
    ranks = np.abs(delta).argsort(axis=1).argsort(axis=1)
    for decile in range(10):
        inside = (ranks >= 5 * decile) & (ranks < 5 * decile + 5)
        wanted = 0.3 + 0.6 * (5 * decile + 2) / 49
        deviation = np.sqrt(wanted * (1 - wanted) / inside.sum())
        assert abs(mask[inside].mean() - wanted) < 5 * deviation


def test_equal_magnitudes_are_ranked_by_index() -> None:
    rows, columns = 4000, 10
    delta = np.ones((rows, columns), np.float32)
    delta[:, ::2] = -1
    share = kept(delta, density=0.5, epsilon=0.5).mean(axis=0)
    np.testing.assert_allclose(share, np.arange(10) / 9, atol=0.05)
    assert share[0] == 0
    assert share[-1] == 1


def test_what_stays_is_divided_by_its_probability() -> None:
    delta = np.tile(np.arange(1, 12, dtype=np.float32), (300, 1))
    merged = merge_matrices(delta, np.zeros_like(delta), options_of("della", density=0.5, epsilon=0.25))
    for column in range(11):
        found = set(merged[:, column]) - {np.float32(0)}
        wanted = (column + 1) / (0.25 + 0.5 * column / 10)
        assert [float(value) for value in found] == pytest.approx([wanted], rel=1e-6)


@given(PAIRS, options_with("dare_ties"))
def test_density_1_and_0_are_those_of_dare(pair: np.ndarray, dare: MergeOptions) -> None:
    shared = {name: getattr(dare, name) for name in ("preset", "weights", "rescale", "election", "balance", "lambda_")}
    normalize = {"normalize": dare.resolved()["normalize"]}
    della = options_of("della").model_copy(update=shared | normalize)
    for density in (0.0, 1.0):
        one, other = (options.model_copy(update={"density": density}) for options in (della, dare))
        assert_same_bits(merge_matrices(*pair, one), merge_matrices(*pair, other))

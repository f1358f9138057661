"""DARE before TIES."""

import numpy as np
from hypothesis import given
from tests.merge_strategies import CHUNKS, PAIRS, assert_is_reference, assert_same_bits, options_with
from tests.merged_matrices import merge_matrices, options_of

from paft_api.spec.merge import MergeOptions


@given(PAIRS, options_with("dare_ties"), CHUNKS)
def test_it_is_the_papers_formula(pair: np.ndarray, options: MergeOptions, chunk: int) -> None:
    assert_is_reference(pair, options, chunk_elements=chunk)


@given(PAIRS, options_with("ties"))
def test_density_1_drops_nothing_and_density_0_all(pair: np.ndarray, ties: MergeOptions) -> None:
    shared = {name: getattr(ties, name) for name in ("preset", "weights", "election", "normalize", "balance")}
    dare = options_of("dare_ties").model_copy(update=shared)
    whole = ties.model_copy(update={"density": 1.0, "lambda_": 1.0})
    everything = merge_matrices(*pair, dare.model_copy(update={"density": 1.0}))
    assert_same_bits(everything, merge_matrices(*pair, whole))
    assert not merge_matrices(*pair, dare.model_copy(update={"density": 0.0})).any()


def test_mergekit_adds_up_what_agrees() -> None:
    ones = np.ones((4, 4), np.float32)
    both = {name: merge_matrices(ones, ones, options_of("dare_ties", preset=name, density=1.0)) for name in
            ("paft", "mergekit")}  # fmt: skip
    assert (both["paft"] == 1).all()
    assert (both["mergekit"] == 2).all()


def test_an_entry_that_was_dropped_has_no_vote() -> None:
    sft, preference = np.full((50, 50), 1.0, np.float32), np.full((50, 50), -3.0, np.float32)
    merged = merge_matrices(sft, preference, options_of("dare_ties", density=0.5, rescale="None"))
    shares = {value: float((merged == value).mean()) for value in (1.0, -3.0, 0.0)}
    assert abs(shares[1.0] - 0.25) < 0.05
    assert abs(shares[-3.0] - 0.5) < 0.05
    assert abs(shares[0.0] - 0.25) < 0.05

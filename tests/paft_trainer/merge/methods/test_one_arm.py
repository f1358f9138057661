"""The controls: one arm alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.merge_strategies import CHUNKS, PAIRS, assert_is_reference, assert_same_bits, options_with
from tests.merged_matrices import merge_matrices, options_of

METHODS = ("sft_only", "preference_only")


@pytest.mark.parametrize("method", METHODS)
@given(pair=PAIRS, data=st.data(), chunk=CHUNKS)
def test_it_is_that_arm_with_its_weight(method: str, pair: np.ndarray, data: st.DataObject, chunk: int) -> None:
    assert_is_reference(pair, data.draw(options_with(method)), chunk_elements=chunk)


@given(PAIRS)
def test_the_other_arm_has_no_part(pair: np.ndarray) -> None:
    for arm, method in enumerate(METHODS):
        assert_same_bits(merge_matrices(*pair, options_of(method)), pair[arm])

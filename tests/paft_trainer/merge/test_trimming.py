"""Trimming keeps exactly the largest entries, however the delta is cut into parts."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies

from paft_trainer.merge.trimming import kept_entries, trim_, trim_threshold

ENTRIES = numpy_strategies.arrays(
    np.float32, st.integers(1, 60), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)
).map(torch.from_numpy)


@given(ENTRIES, st.data())
def test_the_threshold_is_the_kth_largest_magnitude(delta: torch.Tensor, data: st.DataObject) -> None:
    keep = data.draw(st.integers(1, len(delta) - 1)) if len(delta) > 1 else 1
    part_size = data.draw(st.integers(1, len(delta)))
    threshold = trim_threshold(lambda: delta.split(part_size), keep=keep, entries=len(delta))
    in_order = delta.abs().sort(descending=True).values
    if keep < len(delta):
        assert threshold == float(in_order[keep - 1])
    trimmed = trim_(delta.clone(), threshold)
    assert torch.equal(trimmed, torch.where(delta.abs() >= in_order[keep - 1], delta, 0.0)) or keep == len(delta)


def test_density_0_keeps_nothing_and_density_1_everything() -> None:
    delta = torch.tensor([0.0, 1e-38, -3.0, 2.0])
    nothing = trim_threshold(lambda: [delta], keep=kept_entries(0.0, 4), entries=4)
    assert trim_(delta.clone(), nothing).tolist() == [0.0, 0.0, 0.0, 0.0]
    everything = trim_threshold(lambda: [delta], keep=kept_entries(1.0, 4), entries=4)
    assert torch.equal(trim_(delta.clone(), everything), delta)


def test_equal_magnitudes_stay_together() -> None:
    delta = torch.tensor([1.0, -2.0, 2.0, 2.0, -5.0])
    threshold = trim_threshold(lambda: [delta], keep=2, entries=5)
    assert threshold == 2.0
    assert trim_(delta, threshold).tolist() == [0.0, -2.0, 2.0, 2.0, -5.0]


def test_a_delta_sparser_than_the_density_stays_as_it_is() -> None:
    delta = torch.tensor([0.0, 0.0, 0.0, 7.0])
    threshold = trim_threshold(lambda: [delta], keep=2, entries=4)
    assert threshold == 0.0
    assert trim_(delta, threshold).tolist() == [0.0, 0.0, 0.0, 7.0]


@pytest.mark.parametrize(("density", "kept"), [(0.5, 50), (0.29, 28), (0.999, 99), (0.001, 0)])
def test_a_share_of_an_entry_is_not_kept(density: float, kept: int) -> None:
    assert kept_entries(density, 100) == kept

"""With `preset: mergekit` our merges are mergekit 0.1.5's, as far as it rounds little: the base is fp32 here.

mergekit takes deltas from models in the base's dtype: each is off by half a unit in the last place of a weight, 2e-8 of
weights around 0.1, which is 2e-6 of deltas of 0.01. What is compared is what the merges change.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from tests.paft_trainer.merge.peers.cases import EXACT, RANDOM, Case
from tests.paft_trainer.merge.peers.conftest import Changes

MAXIMUM_ERROR = 3e-5
"""Of the largest change."""
COSINE = 1 - 1e-10
DEVIATIONS = 4.5

OurChanges = Callable[[Mapping[str, Any]], Changes]
MergekitChanges = Callable[[str], Changes]


@pytest.mark.parametrize("case", EXACT, ids=lambda case: case.name)
def test_the_same_as_mergekit(case: Case, our_changes: OurChanges, mergekit_changes: MergekitChanges) -> None:
    ours, theirs = _flat(our_changes(case.our_options())), _flat(mergekit_changes(case.name))

    assert np.abs(theirs).max() > 1e-2
    assert np.abs(ours - theirs).max() < MAXIMUM_ERROR * np.abs(theirs).max()
    assert _cosine(ours, theirs) > COSINE


@pytest.mark.parametrize("case", RANDOM, ids=lambda case: case.name)
def test_as_many_entries_stay_as_in_mergekit_and_all_are_as_large(
    case: Case, our_changes: OurChanges, mergekit_changes: MergekitChanges, deltas: dict[str, Changes]
) -> None:
    ours, theirs = our_changes(case.our_options()), mergekit_changes(case.name)
    present = _flat(deltas["sft"]) != 0
    shares = [(_flat(changes) != 0)[present].mean() for changes in (ours, theirs)]
    assert abs(shares[0] - case.ours["density"]) < _spread(case, present.sum())
    assert abs(shares[0] - shares[1]) < np.sqrt(2) * _spread(case, present.sum())
    for name, delta in deltas["sft"].items():
        # Rescaled by norm: the sum of magnitudes of each module stays as it was.
        sums = [np.abs(changes[name]).sum() for changes in (ours, theirs)]
        assert sums == pytest.approx([np.abs(delta).sum()] * 2, rel=1e-4)
        # All that stays is multiplied with one factor; small entries would show the rounding of the weights.
        stays = (ours[name] != 0) & (np.abs(delta) > 1e-3)
        factors = ours[name][stays] / delta[stays]
        assert factors.std() < 1e-4 * factors.mean()


@pytest.mark.parametrize("case", [case for case in RANDOM if case.method == "della"], ids=lambda case: case.name)
def test_della_keeps_large_entries_as_often_as_mergekit(
    case: Case, our_changes: OurChanges, mergekit_changes: MergekitChanges, deltas: dict[str, Changes]
) -> None:
    """Share that stays in the upper and in the lower quarter of each row without zeros."""
    ours, theirs = our_changes(case.our_options()), mergekit_changes(case.name)
    epsilon = case.ours.get("epsilon", 0.15)
    for quarter, place in (("lower", 0.125), ("upper", 0.875)):
        expected = case.ours["density"] + epsilon * (2 * place - 1)
        for changes in (ours, theirs):
            stays = np.concatenate([_quarter(changes[name], delta, quarter) for name, delta in deltas["sft"].items()])
            assert abs(stays.mean() - expected) < DEVIATIONS * np.sqrt(expected * (1 - expected) / stays.size) + 0.01


def _quarter(change: np.ndarray, delta: np.ndarray, quarter: str) -> np.ndarray:
    rows = (delta != 0).all(axis=1)
    ranks = np.abs(delta[rows]).argsort(axis=1).argsort(axis=1) / delta.shape[1]
    chosen = ranks < 0.25 if quarter == "lower" else ranks >= 0.75
    return (change[rows] != 0)[chosen]


def _spread(case: Case, entries: int) -> float:
    density = case.ours["density"]
    return float(DEVIATIONS * np.sqrt(density * (1 - density) / entries))


def _flat(changes: Changes) -> np.ndarray:
    return np.concatenate([changes[name].ravel() for name in sorted(changes)])


def _cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / np.sqrt((one @ one) * (other @ other)))

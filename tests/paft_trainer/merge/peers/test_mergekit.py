"""With `preset: mergekit` our merges are mergekit 0.1.5's, as far as it rounds little: the base is fp32 here.

mergekit takes deltas from models in the base's dtype: each is off by half a unit in the last place of a weight, 2e-8 of
weights around 0.1, which is 2e-6 of deltas of 0.01. What is compared is what the merges change.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from tests.paft_trainer.merge.peers.cases import EXACT, RANDOM, SMALL, Case
from tests.paft_trainer.merge.peers.conftest import Changes

MAXIMUM_ERROR = 5e-6
"""Of the largest change."""
COSINE = 1 - 1e-11
DEVIATIONS = 4.5

OurChanges = Callable[[Case], Changes]
MergekitChanges = Callable[[str], Changes]


@pytest.mark.parametrize("case", EXACT, ids=lambda case: case.name)
def test_the_same_as_mergekit(case: Case, our_changes: OurChanges, mergekit_changes: MergekitChanges) -> None:
    ours, theirs = _flat(our_changes(case)), _flat(mergekit_changes(case.name))

    assert np.abs(theirs).max() > 1e-2
    assert np.abs(ours - theirs).max() < MAXIMUM_ERROR * np.abs(theirs).max()
    assert _cosine(ours, theirs) > COSINE


@pytest.mark.parametrize("case", RANDOM, ids=lambda case: case.name)
def test_as_many_entries_stay_as_in_mergekit_and_all_are_as_large(
    case: Case, our_changes: OurChanges, mergekit_changes: MergekitChanges, deltas: dict[str, Changes]
) -> None:
    ours, theirs = our_changes(case), mergekit_changes(case.name)
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
    ours, theirs = our_changes(case), mergekit_changes(case.name)
    epsilon = case.ours.get("epsilon", 0.15)
    for quarter, place in (("lower", 0.125), ("upper", 0.875)):
        expected = case.ours["density"] + epsilon * (2 * place - 1)
        for changes in (ours, theirs):
            stays = np.concatenate([_quarter(changes[name], delta, quarter) for name, delta in deltas["sft"].items()])
            assert abs(stays.mean() - expected) < DEVIATIONS * np.sqrt(expected * (1 - expected) / stays.size) + 0.01


def test_sce_of_small_deltas_weighs_arms_alike_as_mergekit_and_by_their_squares_without_the_preset(
    our_changes: OurChanges, mergekit_changes: MergekitChanges, deltas: dict[str, Changes]
) -> None:
    """mergekit gives both arms the same weight where their mean squares add up to less than 1e-6.

    That is below a standard deviation of 7e-4 each, where LoRA's deltas are after a short fine-tuning.
    """
    ours, theirs = _flat(our_changes(SMALL)), _flat(mergekit_changes(SMALL.name))
    by_squares = {}
    for name, first in deltas[SMALL.adapters[0]].items():
        second = deltas[SMALL.adapters[1]][name]
        squares = np.square(first).mean(), np.square(second).mean()
        assert sum(squares) < 1e-6
        by_squares[name] = _weighed(first, second, squares)

    # Of entries that nearly cancel, rounded deltas may elect the other sign.
    assert _cosine(ours, theirs) > 1 - 1e-5
    assert _cosine(ours, _flat(by_squares)) < 0.99
    without_preset = _flat(our_changes(replace(SMALL, name="sce-small-paft", preset="paft", ours={"density": 1.0})))
    assert _cosine(without_preset, _flat(by_squares)) > 1 - 1e-8


def _weighed(first: np.ndarray, second: np.ndarray, weights: tuple[float, float]) -> np.ndarray:
    sign = np.where(first + second >= 0, 1, -1)
    agreeing = [np.sign(delta) == sign for delta in (first, second)]
    total = sum(weight * mask for weight, mask in zip(weights, agreeing, strict=True))
    summed = weights[0] * first * agreeing[0] + weights[1] * second * agreeing[1]
    return summed / np.where(total == 0, 1, total)


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

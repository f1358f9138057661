"""What is dropped: bands of magnitudes, and masks that follow from seed, arm, tensor and index alone."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies

from paft_trainer.merge.cpu_arithmetic import CpuArithmetic
from paft_trainer.merge.masks import mask_key

KEYS = st.integers(0, 2**64 - 1)
DENSITIES = st.floats(0, 1)
ANY = numpy_strategies.arrays(
    np.float32, st.integers(1, 60), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)
)


def mask(key: int, *, start: int, count: int, density: float) -> np.ndarray:
    """Which of `count` entries stay."""
    ones = np.ones((1, count), np.float32)
    return CpuArithmetic().keep_drawn(ones, key=key, start=start, density=density)[0] != 0


def mask_in_words(key: int, *, start: int, count: int, density: float) -> list[bool]:
    """SplitMix64 in Python's integers, entry by entry."""
    bits, kept = 2**64 - 1, []
    for index in range(start, start + count):
        z = (key + (index + 1) * 0x9E3779B97F4A7C15) & bits
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & bits
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & bits
        kept.append(((z ^ (z >> 31)) & bits) >> 32 < round(density * 2**32))
    return kept


@given(KEYS, DENSITIES, st.integers(0, 2**40))
def test_it_is_split_mix_64(key: int, density: float, start: int) -> None:
    wanted = mask_in_words(key, start=start, count=40, density=density)
    assert mask(key, start=start, count=40, density=density).tolist() == wanted


def test_the_mask_of_a_key_never_changes() -> None:
    """Recipes that were published once must stay what they are."""
    key = mask_key(seed=0, arm="sft", name="model.layers.0.mlp.up_proj.weight")
    kept = mask(key, start=0, count=24, density=0.5)
    assert "".join("1" if one else "0" for one in kept) == "001111101111100111101001"


@given(KEYS, DENSITIES, st.integers(0, 2**40), st.lists(st.integers(0, 40), min_size=1, max_size=5))
def test_parts_of_a_mask_are_the_mask(key: int, density: float, start: int, counts: list[int]) -> None:
    whole = mask(key, start=start, count=sum(counts), density=density)
    starts = [start + sum(counts[:index]) for index in range(len(counts))]
    parts = [mask(key, start=at, count=count, density=density) for at, count in zip(starts, counts, strict=True)]
    assert np.array_equal(np.concatenate(parts), whole)


@given(KEYS)
def test_density_0_keeps_none_and_1_all(key: int) -> None:
    assert not mask(key, start=0, count=1000, density=0.0).any()
    assert mask(key, start=0, count=1000, density=1.0).all()


@given(KEYS, DENSITIES, DENSITIES)
def test_what_a_lower_density_keeps_a_higher_one_keeps_too(key: int, one: float, other: float) -> None:
    lower, higher = (mask(key, start=5, count=200, density=density) for density in sorted((one, other)))
    assert not (lower & ~higher).any()


@pytest.mark.parametrize("density", [0.1, 0.5, 0.9])
def test_the_share_is_kept_and_neighbours_know_nothing_of_one_another(density: float) -> None:
    count = 200_000
    kept = mask(mask_key(seed=0, arm="sft", name="w"), start=0, count=count, density=density).astype(np.float64)
    deviation = math.sqrt(density * (1 - density) / count)
    assert abs(kept.mean() - density) < 5 * deviation
    centred = kept - kept.mean()
    for lag in (1, 2, 64, 4096):
        correlation = (centred[lag:] * centred[:-lag]).mean() / centred.var()
        assert abs(correlation) < 5 / math.sqrt(count - lag)


def test_arms_tensors_and_seeds_have_masks_of_their_own() -> None:
    keys = [
        mask_key(seed=seed, arm=arm, name=name) for seed in (0, 1) for arm in ("sft", "preference") for name in "ab"
    ]
    masks = [mask(key, start=0, count=10_000, density=0.5) for key in keys]
    for index, one in enumerate(masks):
        for other in masks[:index]:
            assert 0.45 < (one == other).mean() < 0.55


@given(KEYS, st.integers(1, 5), st.integers(1, 12), st.sampled_from([0.0, 0.1, 0.25]), st.integers(0, 4), st.data())
def test_rows_drawn_by_rank_are_drawn_alone(
    key: int, rows: int, columns: int, epsilon: float, first: int, data: st.DataObject
) -> None:
    delta = data.draw(numpy_strategies.arrays(np.float32, (rows, columns), elements=st.integers(-3, 3)))
    how = {"key": key, "density": 0.5, "epsilon": epsilon, "rescales": True}
    whole = CpuArithmetic().keep_drawn_by_rank(delta, start=first * columns, **how)
    for row in range(rows):
        alone = CpuArithmetic().keep_drawn_by_rank(delta[row : row + 1], start=(first + row) * columns, **how)
        assert np.array_equal(alone[0], whole[row])


@given(KEYS, st.floats(0, 1))
def test_without_epsilon_ranks_have_no_part(key: int, density: float) -> None:
    delta = np.arange(1, 401, dtype=np.float32).reshape(20, 20)
    by_rank = CpuArithmetic().keep_drawn_by_rank(
        delta, key=key, start=40, density=density, epsilon=0.0, rescales=False
    )  # fmt: skip
    assert np.array_equal(by_rank, CpuArithmetic().keep_drawn(delta, key=key, start=40, density=density))


@given(ANY, st.data())
def test_a_band_has_both_its_ends(delta: np.ndarray, data: st.DataObject) -> None:
    magnitudes = np.abs(delta)
    low, high = sorted(data.draw(st.tuples(st.sampled_from(list(magnitudes)), st.sampled_from(list(magnitudes)))))
    kept = CpuArithmetic().keep_band(delta.reshape(1, -1), factor=1.0, low=float(low), high=float(high))[0]
    assert np.array_equal(kept, np.where((magnitudes >= low) & (magnitudes <= high), delta, np.float32(0)))


@given(ANY)
def test_what_is_far_apart_stays_in_both(delta: np.ndarray) -> None:
    other = delta[::-1].copy()
    with np.errstate(over="ignore"):
        distances = np.abs(delta - other)
    low = float(np.sort(distances)[len(distances) // 2])
    kept = CpuArithmetic().keep_far(delta.reshape(1, -1), other.reshape(1, -1), low=low)
    for found, given_ in zip(kept, (delta, other), strict=True):
        assert np.array_equal(found[0], np.where(distances >= np.float32(low), given_, np.float32(0)))


def test_deltas_are_left_as_they_are() -> None:
    delta = np.ones((3, 4), np.float32)
    arithmetic = CpuArithmetic()
    arithmetic.keep_band(delta, factor=1.0, low=2.0, high=3.0)
    arithmetic.keep_far(delta, delta, low=1.0)
    arithmetic.keep_drawn(delta, key=1, start=0, density=0.0)
    arithmetic.keep_drawn_by_rank(delta, key=1, start=0, density=0.5, epsilon=0.5, rescales=True)
    assert (delta == 1).all()

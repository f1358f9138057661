"""Masks follow from seed, arm, tensor and index alone, and keep the share they should."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from paft_trainer.merge.dropping import drop_, keep_mask, mask_key

KEYS = st.integers(0, 2**64 - 1)
DENSITIES = st.floats(0, 1)


@given(KEYS, DENSITIES, st.integers(0, 2**40), st.lists(st.integers(0, 40), min_size=1, max_size=5))
def test_parts_of_a_mask_are_the_mask(key: int, density: float, start: int, counts: list[int]) -> None:
    whole = keep_mask(key, start=start, count=sum(counts), density=density)
    starts = [start + sum(counts[:index]) for index in range(len(counts))]
    parts = [keep_mask(key, start=at, count=count, density=density) for at, count in zip(starts, counts, strict=True)]
    assert torch.equal(torch.cat(parts), whole)


@given(KEYS)
def test_density_0_keeps_none_and_1_all(key: int) -> None:
    assert not keep_mask(key, start=0, count=1000, density=0.0).any()
    assert keep_mask(key, start=0, count=1000, density=1.0).all()


@given(KEYS, DENSITIES, DENSITIES)
def test_what_a_lower_density_keeps_a_higher_one_keeps_too(key: int, one: float, other: float) -> None:
    lower, higher = (keep_mask(key, start=5, count=200, density=density) for density in sorted((one, other)))
    assert not bool((lower & ~higher).any())


@pytest.mark.parametrize("density", [0.1, 0.5, 0.9])
def test_the_share_is_kept_in_every_part(density: float) -> None:
    count = 200_000
    mask = keep_mask(mask_key(seed=0, arm="sft", name="w"), start=0, count=count, density=density).double()
    deviation = math.sqrt(density * (1 - density) / count)
    assert abs(float(mask.mean()) - density) < 5 * deviation
    # Neighbours know nothing of one another.
    centred = mask - mask.mean()
    for lag in (1, 2, 64, 4096):
        correlation = float((centred[lag:] * centred[:-lag]).mean() / centred.var())
        assert abs(correlation) < 5 / math.sqrt(count - lag)


def test_arms_tensors_and_seeds_have_masks_of_their_own() -> None:
    keys = [
        mask_key(seed=seed, arm=arm, name=name) for seed in (0, 1) for arm in ("sft", "preference") for name in "ab"
    ]
    masks = [keep_mask(key, start=0, count=10_000, density=0.5) for key in keys]
    for index, mask in enumerate(masks):
        for other in masks[:index]:
            assert 0.45 < float((mask == other).double().mean()) < 0.55


def test_the_mask_of_a_key_never_changes() -> None:
    """Recipes that were published once must stay what they are."""
    key = mask_key(seed=0, arm="sft", name="model.layers.0.mlp.up_proj.weight")
    mask = keep_mask(key, start=0, count=24, density=0.5)
    assert "".join("1" if kept else "0" for kept in mask.tolist()) == GOLDEN


GOLDEN = "001111101111100111101001"


def test_the_mean_stays() -> None:
    delta = torch.ones(400, 500)
    dropped = drop_(delta.clone(), 3, start=0, density=0.25)
    assert set(dropped.unique().tolist()) == {0.0, 4.0}
    assert abs(float(dropped.mean()) - 1.0) < 0.05

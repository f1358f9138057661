"""Steering as arithmetic: quantiles from counts, the strength that is needed, bounds, and a plant that it steers."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from paft_trainer.training.factor_adamw import FactorAdamW, SparsityTarget
from paft_trainer.training.factor_partitions import Factor, whole_partitions
from paft_trainer.training.proximal_adamw import proximal_threshold, soft_threshold_
from paft_trainer.training.sparsity_controller import (
    BINS,
    HIGHEST_QUANTILE,
    LOWEST_QUANTILE,
    histogram_of,
    needed_strength,
    quantile,
    steer,
)

SIZES = st.lists(st.floats(2.0**-40, 2.0**10, width=32), min_size=1, max_size=60)
BIN_WIDTH = 2 ** (1 / 16)


@given(sizes=SIZES, share=st.floats(0, 1))
def test_quantiles_come_from_counts(sizes: list[float], share: float) -> None:
    counted = quantile(histogram_of(torch.tensor(sizes)), share)

    exact = sorted(sizes)[max(1, math.ceil(share * len(sizes))) - 1]
    assert exact / BIN_WIDTH <= float(counted) <= exact * BIN_WIDTH


@given(sizes=SIZES, cut=st.integers(0, 60))
def test_counts_of_parts_add_up_to_those_of_the_whole(sizes: list[float], cut: int) -> None:
    whole = torch.tensor(sizes)

    assert torch.equal(histogram_of(whole[:cut]) + histogram_of(whole[cut:]), histogram_of(whole))


def test_zeros_and_what_is_out_of_reach_lie_in_the_open_bins() -> None:
    counts = histogram_of(torch.tensor([0.0, 0.0, 1.0, math.inf]))

    assert (counts[0], counts[-1], counts.sum()) == (2, 1, 4)
    assert (quantile(counts, 0.0), quantile(counts, 0.5), quantile(counts, 1.0)) == (0.0, 0.0, math.inf)


@given(
    weight=st.floats(-0.03125, 0.03125, width=32),
    root=st.floats(2.0**-20, 1, width=32),
    learning_rate=st.floats(1e-4, 1e-2),
)
def test_the_needed_strength_is_where_the_proximal_step_begins_to_give_zero(
    weight: float, root: float, learning_rate: float
) -> None:
    needed = float(
        needed_strength(torch.tensor([weight]), torch.tensor([root]), learning_rate=learning_rate, epsilon=1e-8)
    )

    def shrunk(strength: float) -> float:
        threshold = proximal_threshold(
            torch.tensor([root]).square(),
            step=1e9,
            learning_rate=learning_rate,
            beta2=0.5,
            epsilon=1e-8,
            strength=strength,
        )
        return float(soft_threshold_(torch.tensor([weight]), threshold))

    if math.isinf(needed):
        assert shrunk(1e9) != 0
    else:
        assert shrunk(needed * 1.001) == 0
        assert needed < 1e-12 or shrunk(needed * 0.999) != 0


def test_weights_without_a_gradient_so_far_need_no_strength_if_they_are_zero_and_are_out_of_reach_otherwise() -> None:
    needed = needed_strength(torch.tensor([0.0, 1e-5]), torch.zeros(2), learning_rate=1e-2, epsilon=1e-8)

    assert needed.tolist() == [0.0, math.inf]


@given(roots=SIZES, needed=SIZES, strength=st.floats(0, 10), target=st.floats(0.01, 1))
def test_the_strength_stays_within_its_bounds(
    roots: list[float], needed: list[float], strength: float, target: float
) -> None:
    of_roots, of_needed = histogram_of(torch.tensor(roots)), histogram_of(torch.tensor(needed))
    after = steer(torch.tensor(strength), roots=of_roots, needed=of_needed, next_target=target)

    lowest, highest = quantile(of_roots, LOWEST_QUANTILE), quantile(of_roots, HIGHEST_QUANTILE)
    assert min(float(lowest), float(quantile(of_needed, target))) <= float(after) <= float(highest)


@pytest.mark.parametrize("moving", [True, False])
def test_there_is_no_strength_without_a_target_or_a_gradient(moving: bool) -> None:
    roots = histogram_of(torch.full((4,), 1e-3 if moving else 0.0))
    needed = histogram_of(torch.full((4,), 1e-4))

    after = steer(torch.tensor(0.5), roots=roots, needed=needed, next_target=0.0 if moving else 0.5)

    assert after == 0


def test_a_target_that_cannot_be_reached_winds_nothing_up() -> None:
    roots, wide = histogram_of(torch.logspace(-5, -3, 100)), histogram_of(torch.full((100,), math.inf))
    strength = torch.tensor(0.0)
    for _ in range(1000):
        strength = steer(strength, roots=roots, needed=wide, next_target=0.9)
    assert strength == quantile(roots, HIGHEST_QUANTILE)

    near = histogram_of(torch.full((100,), 1e-4))
    for _ in range(8):
        strength = steer(strength, roots=roots, needed=near, next_target=0.9)
    assert float(strength) == pytest.approx(1e-4, rel=0.05)


def steered(target: float, *, steps: int = 120, entries: int = 600, by_rows: bool = False) -> tuple[float, float]:
    """Shares of zeros in A and in B after a noisy quadratic problem whose entries matter very differently."""
    generator = torch.Generator().manual_seed(3)
    parameters = [torch.nn.Parameter(torch.zeros(entries // 4, 4)) for _ in Factor]
    parameters[0].data.uniform_(-0.1, 0.1, generator=generator)
    goals = [torch.randn(p.shape, generator=generator) for p in parameters]
    curvatures = [10 ** torch.empty(p.shape).uniform_(-5, -2, generator=generator) for p in parameters]
    groups = [
        {"params": [p], "factor": factor.value, "weight_decay": 0.0}
        for p, factor in zip(parameters, Factor, strict=True)
    ]
    optimizer = FactorAdamW(groups, lr=1e-2, weight_decay=0.0, l1_strength=0.0, l1_ramp_steps=0.0)
    shares = dict.fromkeys(Factor, target)
    optimizer.attach(
        whole_partitions(optimizer, by_rows=by_rows),
        SparsityTarget(shares=shares, ramp_steps=steps / 2),
        torch.device("cpu"),
    )
    for step in range(1, steps + 1):
        for p, goal, curvature in zip(parameters, goals, curvatures, strict=True):
            noise = 4 * torch.randn(p.shape, generator=generator)
            p.grad = curvature * (p.detach() - goal + noise)
        optimizer.step()
        optimizer.steer(step)
    of_a = float((parameters[0] == 0).float().mean())
    b = parameters[1] == 0
    return of_a, float((b.all(dim=1) if by_rows else b).float().mean())


@pytest.mark.parametrize("target", [0.02, 0.3, 0.6, 0.9])
def test_a_and_b_are_each_steered_to_the_target(target: float) -> None:
    assert steered(target) == pytest.approx((target, target), abs=0.03)


def test_rows_are_steered_too() -> None:
    assert steered(0.5, by_rows=True) == pytest.approx((0.5, 0.5), abs=0.03)


def test_target_0_is_plain_adamw() -> None:
    assert steered(0.0, steps=5) == (0.0, 0.0)


def test_target_1_is_bounded_and_leaves_something() -> None:
    a, b = steered(1.0)

    assert 0.8 < a <= 1
    assert 0.8 < b <= 1


def test_a_histogram_has_room_for_every_strength() -> None:
    assert histogram_of(torch.tensor([10.0, 2000.0]))[: BINS - 1].sum() == 2

"""Sources in proportion."""

from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from paft_trainer.data.mixing import Mixture, Part
from paft_trainer.training.sampling import EpochSampler, visited_rows

PARTS = st.lists(st.tuples(st.integers(1, 30), st.floats(0.05, 3.5)), min_size=1, max_size=4)


def mixture_of(parts: list[tuple[int, float]]) -> Mixture:
    return Mixture.of([rows for rows, _ in parts], [weight for _, weight in parts])


@given(parts=PARTS, seed=st.integers(0, 2**31))
def test_each_row_comes_as_often_as_its_weight_says(parts: list[tuple[int, float]], seed: int) -> None:
    mixture = mixture_of(parts)
    counts = Counter(mixture.shuffled(torch.Generator().manual_seed(seed)).tolist())
    first = 0
    for rows, weight in parts:
        times = [counts[number] for number in range(first, first + rows)]
        assert all(int(weight) <= time <= int(weight) + 1 for time in times)
        assert abs(sum(times) - weight * rows) <= 0.5 + 1e-9
        first += rows
    assert counts.total() == mixture.epoch_rows
    assert max(counts, default=0) < mixture.rows == first


@given(rows=st.lists(st.integers(1, 20), min_size=1, max_size=4), seed=st.integers(0, 2**31))
def test_without_weights_the_order_is_that_of_all_rows_together(rows: list[int], seed: int) -> None:
    order = Mixture.of(rows, [1.0] * len(rows)).shuffled(torch.Generator().manual_seed(seed))
    assert torch.equal(order, torch.randperm(sum(rows), generator=torch.Generator().manual_seed(seed)))


def test_an_epoch_depends_on_seed_and_number_alone_and_draws_other_rows() -> None:
    mixture = Mixture.of([40, 10], [0.5, 2.0])
    samplers = [EpochSampler(rows=mixture, global_batch_size=8, seed=3) for _ in range(2)]
    epochs = []
    for epoch in range(3):
        for sampler in samplers:
            sampler.set_epoch(epoch)
        first, second = (list(sampler) for sampler in samplers)
        assert first == second
        assert len(first) == 40
        epochs.append({row for row in first if row < 40})
    assert [len(rows) for rows in epochs] == [20, 20, 20]
    assert epochs[0] != epochs[1] != epochs[2]


@given(parts=PARTS, steps=st.integers(1, 12), seed=st.integers(0, 99))
def test_visited_rows_are_at_least_those_of_the_steps(parts: list[tuple[int, float]], steps: int, seed: int) -> None:
    mixture = mixture_of(parts)
    if mixture.epoch_rows < 4:
        return
    sampler = EpochSampler(rows=mixture, global_batch_size=4, seed=seed)
    seen: list[int] = []
    epoch = 0
    while len(seen) < 4 * steps:
        sampler.set_epoch(epoch)
        seen += list(sampler)
        epoch += 1
    visited = visited_rows(rows=mixture, global_batch_size=4, seed=seed, steps=steps)
    assert visited == sorted(set(visited))
    assert set(visited) >= set(seen[: 4 * steps])


@pytest.mark.parametrize(("weight", "rows"), [(0.5, 2), (0.49, 1), (0.1, 0), (1.5, 5), (2.0, 6)])
def test_halves_are_rounded_up(weight: float, rows: int) -> None:
    assert Part(3, weight).epoch_rows == rows

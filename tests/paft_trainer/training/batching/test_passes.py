"""Every row of a step is computed exactly once, whoever computes it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paft_trainer.training.batching.passes import Passes, fixed_passes, packed_passes

LONGEST = 64


@st.composite
def steps(draw: st.DrawFn) -> tuple[list[int], int]:
    """Lengths of the rows of a step, and a number of processes that divides it."""
    processes = draw(st.integers(1, 8))
    rows = processes * draw(st.integers(1, 12))
    return draw(st.lists(st.integers(1, LONGEST), min_size=rows, max_size=rows)), processes


def _rows(plan: list[Passes]) -> list[int]:
    return sorted(row for passes in plan for rows in passes for row in rows)


@given(step=steps(), budget=st.integers(LONGEST, 4 * LONGEST))
def test_packed_rows_are_all_there_within_the_budget_in_as_many_passes_everywhere(
    step: tuple[list[int], int], budget: int
) -> None:
    lengths, processes = step
    plan = packed_passes(lengths, processes=processes, tokens_per_pass=budget)

    assert _rows(plan) == list(range(len(lengths)))
    assert len({len(passes) for passes in plan}) == 1
    assert all(sum(lengths[row] for row in rows) <= budget for passes in plan for rows in passes)
    assert all(rows for passes in plan for rows in passes)


@given(step=steps(), budget=st.integers(LONGEST, 4 * LONGEST))
def test_packing_never_takes_more_passes_than_rows_nor_many_more_than_there_must_be(
    step: tuple[list[int], int], budget: int
) -> None:
    lengths, processes = step
    passes = len(packed_passes(lengths, processes=processes, tokens_per_pass=budget)[0])

    fewest = -(-sum(lengths) // (budget * processes))
    # First-fit decreasing takes at most 11/9 of the fewest, and one more (Dósa 2007).
    assert passes <= len(lengths) // processes
    assert passes <= 11 / 9 * -(-sum(2 * length > budget for length in lengths) // processes) + 2 * fewest + 1


@given(lengths=st.lists(st.integers(1, LONGEST), min_size=24, max_size=24), budget=st.integers(LONGEST, 4 * LONGEST))
def test_the_tokens_of_the_processes_differ_by_no_more_than_a_row_in_each_pass(lengths: list[int], budget: int) -> None:
    plan = packed_passes(lengths, processes=2, tokens_per_pass=max(budget, sum(lengths)))

    first, second = (sum(lengths[row] for rows in passes for row in rows) for passes in plan)
    assert abs(first - second) <= LONGEST


def test_a_step_of_short_rows_is_one_pass() -> None:
    assert packed_passes([5, 9, 7, 3], processes=1, tokens_per_pass=24) == [[[0, 1, 2, 3]]]
    assert packed_passes([5, 9, 7, 3], processes=2, tokens_per_pass=24) == [[[0, 2]], [[1, 3]]]


def test_where_even_passes_would_not_fit_the_fitted_ones_stay() -> None:
    plan = packed_passes([6, 6, 5, 5, 5, 5], processes=1, tokens_per_pass=16)

    assert _rows(plan) == list(range(6))
    assert len(plan[0]) == 3


@pytest.mark.parametrize(
    ("rows", "processes", "rows_per_pass", "plan"),
    [
        (4, 1, 2, [[[0, 1], [2, 3]]]),
        (8, 2, 2, [[[0, 1], [4, 5]], [[2, 3], [6, 7]]]),
        (5, 1, 2, [[[0, 1], [2, 3], [4]]]),
    ],
)
def test_fixed_passes_are_dealt_out_in_turn(rows: int, processes: int, rows_per_pass: int, plan: list[Passes]) -> None:
    assert fixed_passes(rows, processes=processes, rows_per_pass=rows_per_pass) == plan

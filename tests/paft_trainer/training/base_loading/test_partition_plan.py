"""The plan against its contract: every byte is read once, and every rank gets all that it holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paft_trainer.training.base_loading.partition_plan import (
    LEAST_PART_BYTES,
    READ_TOGETHER_BYTES,
    TensorLayout,
    plan_rounds,
)

KIB = 1024


@st.composite
def layouts(draw: st.DrawFn) -> list[TensorLayout]:
    return [
        TensorLayout(
            name=f"tensor{number}",
            size=draw(st.integers(1, 200_000)) * (element_bytes := draw(st.sampled_from([1, 2, 4, 8]))),
            element_bytes=element_bytes,
            piece_bytes=draw(st.sampled_from([4 * KIB, 16 * KIB, 1024 * KIB])),
            is_split=draw(st.booleans()),
        )
        for number in range(draw(st.integers(1, 4)))
    ]


@given(layouts=layouts(), world_size=st.integers(1, 9), exchanged_bytes=st.sampled_from([1, 100_000, 2**40]))
def test_every_piece_is_read_once_and_every_rank_gets_what_it_holds(
    layouts: list[TensorLayout], world_size: int, exchanged_bytes: int
) -> None:
    rounds = plan_rounds(layouts, world_size, exchanged_bytes=exchanged_bytes)
    for layout in layouts:
        readings = [one for each in rounds for one in each.readings if one.tensor == layout.name]
        pieces = sorted(piece for one in readings for piece in range(one.first, one.first + one.count))
        assert pieces == list(range(-(-layout.size // layout.piece_bytes)))
        slices = [one for each in rounds for one in each.slices if one.tensor == layout.name]
        for rank in range(world_size):
            start, stop = layout.held_by(rank, world_size)
            intervals = [(one.start, one.stop) for one in slices if one.holder == rank]
            for one in readings:
                if one.reader == rank:
                    first, after = one.first * layout.piece_bytes, (one.first + one.count) * layout.piece_bytes
                    first, after = max(first, start), min(after, stop)
                    intervals += [(first, after)] if first < after else []
            assert covered(sorted(intervals)) == ([(start, stop)] if start < stop else [])


def covered(intervals: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Neighbours joined. An overlap would show as an interval that begins too early."""
    joined: list[tuple[int, int]] = []
    for start, stop in intervals:
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], stop)
        else:
            joined.append((start, stop))
    return joined


@given(layouts=layouts(), world_size=st.integers(1, 9))
def test_whoever_passes_bytes_on_reads_them_in_the_same_round(layouts: list[TensorLayout], world_size: int) -> None:
    by_name = {layout.name: layout for layout in layouts}
    for each in plan_rounds(layouts, world_size, exchanged_bytes=1):
        for one in each.slices:
            piece_bytes = by_name[one.tensor].piece_bytes
            assert one.reader != one.holder
            assert any(
                reading.reader == one.reader
                and reading.tensor == one.tensor
                and reading.first * piece_bytes <= one.start
                and one.stop <= (reading.first + reading.count) * piece_bytes
                for reading in each.readings
            )


@pytest.mark.parametrize("world_size", [2, 3, 8, 16])
def test_ranks_read_alike_much_of_a_model_and_pass_on_little(world_size: int) -> None:
    """The linear modules of a 7B model in bf16, whose parts are of a megabyte or more on so many ranks."""
    shapes = [(4096, 4096)] * 4 + [(11008, 4096)] * 3
    layouts = [
        TensorLayout(name=f"{layer}.{number}", size=2 * rows * columns, element_bytes=2, piece_bytes=128 * KIB)
        for layer in range(32)
        for number, (rows, columns) in enumerate(shapes)
    ]
    rounds = plan_rounds(layouts, world_size)
    read = [0] * world_size
    for each in rounds:
        for one in each.readings:
            read[one.reader] += one.count * 128 * KIB
    whole = sum(layout.size for layout in layouts)
    assert sum(read) == whole
    assert max(read) <= 1.01 * whole / world_size
    assert sum(one.size for each in rounds for one in each.slices) < 0.01 * whole * world_size**0.5


def test_small_tensors_that_follow_each_other_are_read_by_one_rank_and_ranks_take_turns() -> None:
    layouts = [
        TensorLayout(name=f"norm{number}", size=READ_TOGETHER_BYTES // 2, element_bytes=4, piece_bytes=8 * KIB)
        for number in range(12)
    ]
    (only,) = plan_rounds(layouts, 6, exchanged_bytes=2**40)
    assert [one.reader for one in only.readings] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert sorted(one.holder for one in only.slices if one.tensor == "norm0") == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(("size", "readings"), [(2 * LEAST_PART_BYTES, 2), (2 * LEAST_PART_BYTES - 4, 1)])
def test_a_tensor_is_read_in_parts_once_these_are_worth_a_request(size: int, readings: int) -> None:
    layout = TensorLayout(name="weight", size=size, element_bytes=2, piece_bytes=4 * KIB)
    (only,) = plan_rounds([layout], 2)
    assert len(only.readings) == readings


def test_a_tensor_with_small_parts_is_read_in_runs_that_suit_requests() -> None:
    """Of a world so large that parts are tiny, no rank reads, and holds in memory, the whole of a large tensor."""
    layout = TensorLayout(name="weight", size=8 * READ_TOGETHER_BYTES, element_bytes=2, piece_bytes=64 * KIB)
    rounds = plan_rounds([layout], 128)
    readings = [one for each in rounds for one in each.readings]
    assert [one.count * layout.piece_bytes for one in readings] == [READ_TOGETHER_BYTES] * 8
    assert len({one.reader for one in readings}) == 8


def test_a_tensor_with_fewer_elements_than_ranks_leaves_some_with_padding_only() -> None:
    layout = TensorLayout(name="scale", size=4, element_bytes=2, piece_bytes=4 * KIB)
    assert [layout.held_by(rank, 4) for rank in range(4)] == [(0, 2), (2, 4), (4, 4), (4, 4)]
    (only,) = plan_rounds([layout], 4)
    assert [(one.start, one.stop, one.holder) for one in only.slices] == [(2, 4, 1)]


def test_a_round_ends_before_a_rank_holds_too_much_of_others() -> None:
    layouts = [
        TensorLayout(name=f"tensor{number}", size=3 * 1024 * KIB, element_bytes=2, piece_bytes=1024 * KIB)
        for number in range(10)
    ]
    rounds = plan_rounds(layouts, 2, exchanged_bytes=1024 * KIB)
    assert len(rounds) > 1
    for each in rounds:
        for rank in range(2):
            assert sum(one.size for one in each.slices if one.reader == rank) < 2 * 1024 * KIB
            assert sum(one.size for one in each.slices if one.holder == rank) < 2 * 1024 * KIB

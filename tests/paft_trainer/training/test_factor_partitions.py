"""Rows of matrices that are cut into slices: each is counted once, and its parts find together."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from paft_trainer.training.factor_partitions import row_segments

MATRICES = st.lists(st.integers(1, 9), min_size=1, max_size=4)


@given(rows=MATRICES, row_length=st.integers(1, 7), ranks=st.integers(1, 5))
def test_segments_cover_every_slice_and_each_row_begins_once(rows: list[int], row_length: int, ranks: int) -> None:
    sizes = [count * row_length for count in rows]
    parts = [row_segments(sizes, row_length, rank=rank, ranks=ranks) for rank in range(ranks)]

    assert all(part.entries == sum(-(-size // ranks) for size in sizes) for part in parts)
    assert all(int(part.lengths.sum()) == part.entries for part in parts)
    assert sum(int(part.begins.sum()) for part in parts) == sum(rows)


@given(rows=MATRICES, row_length=st.integers(1, 7), ranks=st.integers(1, 5))
def test_parts_of_a_cut_row_share_a_slot_and_add_up_to_it(rows: list[int], row_length: int, ranks: int) -> None:
    sizes = [count * row_length for count in rows]
    parts = [row_segments(sizes, row_length, rank=rank, ranks=ranks) for rank in range(ranks)]

    assert len({part.cut_rows for part in parts}) == 1
    filled = torch.zeros(parts[0].cut_rows, dtype=torch.int64)
    for part in parts:
        filled.index_add_(0, part.slots, part.lengths[part.cut])
        whole = torch.ones(len(part.lengths), dtype=torch.bool)
        whole[part.cut] = False
        assert bool((part.lengths[whole & part.begins] == row_length).all())
    assert filled.tolist() == [row_length] * len(filled)


def test_values_of_segments_are_spread_over_their_entries() -> None:
    part = row_segments([12], 3, rank=1, ranks=5)

    assert part.lengths.tolist() == [3]
    assert part.spread(torch.tensor([2.0])).tolist() == [2.0, 2.0, 2.0]

"""Rows in parts."""

from hypothesis import given
from hypothesis import strategies as st

from paft_trainer.merge.rows import Rows


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 20), st.integers(1, 500))
def test_parts_are_all_rows_in_order_and_as_large_as_they_may_be(
    start: int, height: int, columns: int, elements: int
) -> None:
    whole = Rows(start=start, stop=start + height, columns=columns)
    parts = list(whole.cut(elements))
    assert [row for part in parts for row in range(part.start, part.stop)] == list(range(start, start + height))
    for part in parts:
        assert part.columns == columns
        assert part.first_index == part.start * columns
        assert part.height == 1 or part.height * columns <= elements
    assert all((part.height + 1) * max(columns, 1) > elements for part in parts[:-1])

"""ΔW has one value, whatever computes it: other chunks, other numbers of threads."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from paft_trainer.adapters import Factors
from paft_trainer.merge.deltas import RowChunk, delta_rows, row_chunks


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def random_factors(rank: int, rows: int, columns: int) -> Factors:
    generator = torch.Generator().manual_seed(rank)
    return Factors(
        a=torch.randn(rank, columns, generator=generator),
        b=torch.randn(rows, rank, generator=generator),
        scale=2.0 / 3.0,
    )


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize(("rank", "rows", "columns"), [(1, 5, 7), (8, 300, 33), (17, 120, 1000)])
def test_chunks_and_threads_do_not_change_a_bit(rank: int, rows: int, columns: int) -> None:
    factors = random_factors(rank, rows, columns)
    torch.set_num_threads(1)
    whole = delta_rows(factors, RowChunk(start=0, stop=rows))
    for number in (1, 4):
        torch.set_num_threads(number)
        for chunk_elements in (1, 2 * columns, 7 * columns, rows * columns - 1):
            chunks = row_chunks(rows, columns, chunk_elements=chunk_elements)
            assert torch.equal(torch.cat([delta_rows(factors, chunk) for chunk in chunks]), whole)


def test_products_and_sums_are_rounded_one_by_one_in_order() -> None:
    factors = random_factors(16, 40, 50)
    expected = np.zeros((40, 50), np.float32)
    for rank in range(16):
        expected = expected + factors.b.numpy()[:, rank : rank + 1] * factors.a.numpy()[rank : rank + 1]
    expected = expected * np.float32(factors.scale)
    assert np.array_equal(delta_rows(factors, RowChunk(start=0, stop=40)).numpy(), expected)


def test_chunks_cover_all_rows_once() -> None:
    chunks = list(row_chunks(10, 4, chunk_elements=12))
    assert chunks == [RowChunk(start=s, stop=e) for s, e in ((0, 3), (3, 6), (6, 9), (9, 10))]
    assert len(list(row_chunks(3, 100, chunk_elements=12))) == 3

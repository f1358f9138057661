"""The proximal step of whole rows."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from paft_trainer.training.factor_partitions import row_segments
from paft_trainer.training.row_shrinkage import row_moments, row_scales


@given(first=st.floats(-2, 2, width=32), second=st.floats(-2, 2, width=32), threshold=st.floats(0, 2, width=32))
def test_a_row_shrinks_by_the_proximal_operator_of_its_norm(first: float, second: float, threshold: float) -> None:
    row = torch.tensor([first, second])
    rows = row_segments([2], 2, rank=0, ranks=1)
    _, size = row_moments(torch.ones(2), row, rows)
    shrunk = row * rows.spread(row_scales(torch.tensor([threshold]), size))

    def objective(candidate: torch.Tensor) -> float:
        distance = (candidate.double() - row.double()).square().sum() / 2
        return float(distance + threshold * 2**0.5 * candidate.double().norm())

    least = objective(shrunk)
    for factor in (0.0, 0.5, 0.9, 0.999, 1.001, 1.1):
        assert least <= objective(shrunk * factor) + 1e-9
    for direction in torch.eye(2):
        for length in (-1e-3, 1e-3):
            assert least <= objective(shrunk + length * direction) + 1e-9


def test_rows_are_zero_as_a_whole_or_not_at_all() -> None:
    weight = torch.tensor([3.0, 1e-6, 0.1, 0.1, 0.0, 0.0])
    rows = row_segments([6], 2, rank=0, ranks=1)
    moments, size = row_moments(torch.tensor([1.0, 3.0, 4.0, 4.0, 0.0, 0.0]), weight, rows)

    shrunk = weight * rows.spread(row_scales(torch.full((3,), 0.2), size))

    assert moments.tolist() == [2.0, 4.0, 0.0]
    assert (shrunk != 0).tolist() == [True, True, False, False, False, False]
    assert float(shrunk[0]) == pytest.approx(3.0 - 0.2 * 2**0.5, rel=1e-5)

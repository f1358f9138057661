"""The float64 merges that others are compared with, on numbers that can be done by hand."""

from pathlib import Path

import pytest
import torch
from benchmarks.merge_load.exact_merges import load_deltas, merge_exactly, round_to_bfloat16
from benchmarks.merge_load.models import write_models
from benchmarks.merge_load.shapes import START_UP
from tests.merges import reference_deltas

FIRST = torch.tensor([[4.0, -3.0, 2.0, 1.0], [0.0, 5.0, -6.0, 0.5]]).double()
SECOND = torch.tensor([[2.0, 7.0, -8.0, 0.25], [0.0, 1.0, -3.0, 4.0]]).double()


def test_linear_is_the_mean() -> None:
    assert merge_exactly("linear", (FIRST, SECOND), 0.5).tolist() == [[3, 2, -3, 0.625], [0, 3, -4.5, 2.25]]


def test_ties_trims_elects_and_averages_what_agrees() -> None:
    # Of the first stay 4, -3, 5, -6; of the second 7, -8, -3, 4.
    assert merge_exactly("ties", (FIRST, SECOND), 0.5).tolist() == [[4, 7, -8, 0], [0, 5, -4.5, 4]]


def test_bfloat16_is_reached_in_one_step_to_even() -> None:
    halfway = [1 + 2.0**-8, 1 + 3 * 2.0**-8, -1 - 2.0**-8]
    # In two steps, by way of fp32, these would first become halfway and then even.
    beside = [1 + 2.0**-8 + 2.0**-40, 1 + 3 * 2.0**-8 - 2.0**-40]

    rounded = round_to_bfloat16(torch.tensor([*halfway, *beside, 0.0], dtype=torch.float64)).tolist()

    assert rounded == [1, 1 + 2.0**-6, -1, 1 + 2.0**-7, 1 + 2.0**-7, 0]


def test_bfloat16_is_torchs_where_fp32_has_no_say() -> None:
    values = torch.randn(10_000, generator=torch.Generator().manual_seed(0))

    assert torch.equal(round_to_bfloat16(values.double()), values.bfloat16().double())


@pytest.mark.parametrize("arm", ["sft", "preference"])
def test_deltas_are_those_of_the_factors(tmp_path: Path, arm: str) -> None:
    write_models(tmp_path / "models", START_UP)
    deltas, expected = load_deltas(tmp_path / "models" / arm), reference_deltas(tmp_path / "models" / arm)

    assert deltas.keys() == expected.keys()
    assert all(delta.numpy() == pytest.approx(expected[name], abs=1e-12) for name, delta in deltas.items())

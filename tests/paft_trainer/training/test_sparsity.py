"""Sparsity of an adapter, against dense arithmetic."""

import pytest
import torch

from paft_trainer.training.sparsity import Factors, l1_norm, measure_sparsity


def factors(*, rows: int = 40, columns: int = 30, rank: int = 4, keep: float = 1.0) -> Factors:
    generator = torch.Generator().manual_seed(7)
    a = torch.randn(rank, columns, generator=generator)
    b = torch.randn(rows, rank, generator=generator)
    a *= torch.rand(rank, columns, generator=generator) < keep
    b *= torch.rand(rows, rank, generator=generator) < keep
    return Factors(a=a, b=b, scale=2.0)


def test_shares_and_norm_equal_those_of_the_dense_delta() -> None:
    module = factors(keep=0.3)
    delta = 2.0 * module.b @ module.a
    measured = measure_sparsity([module]).total
    assert measured.delta_zero == pytest.approx(float((delta == 0).float().mean()))
    assert measured.delta_small == pytest.approx(float((delta.abs() < 1e-5).float().mean()))
    assert measured.delta_norm == pytest.approx(float(delta.norm()), rel=1e-5)
    assert measured.a_zero == pytest.approx(float((module.a == 0).float().mean()))
    assert measured.b_zero == pytest.approx(float((module.b == 0).float().mean()))


def test_small_entries_are_not_exact_zeros() -> None:
    module = Factors(a=torch.full((2, 8), 1e-6), b=torch.ones(8, 2), scale=1.0)
    measured = measure_sparsity([module]).total
    assert (measured.a_zero, measured.a_small, measured.delta_zero, measured.delta_small) == (0.0, 1.0, 0.0, 1.0)


def test_entries_that_bf16_rounds_to_zero_are_counted_apart() -> None:
    module = Factors(a=torch.full((1, 4), 1e-42), b=torch.ones(4, 1), scale=1.0)
    measured = measure_sparsity([module]).total
    assert (measured.a_zero, measured.a_zero_bf16) == (0.0, 1.0)


def test_an_untrained_adapter_has_norm_zero_beside_its_sparsity() -> None:
    module = Factors(a=torch.randn(4, 16), b=torch.zeros(16, 4), scale=1.0)
    measured = measure_sparsity([module]).total
    assert measured.delta_small == 1.0
    assert measured.delta_norm == 0.0


def test_l1_norm_sums_both_factors() -> None:
    module = Factors(a=torch.tensor([[1.0, -2.0]]), b=torch.tensor([[0.5], [-0.5]]), scale=3.0)
    assert l1_norm([module]) == pytest.approx(4.0)


def test_small_entries_are_also_told_against_the_adapters_own_scale() -> None:
    """An adapter that is tiny as a whole is sparse by the paper's measure, and dense by its own."""
    module = factors()
    tiny = Factors(a=module.a * 1e-4, b=module.b * 1e-4, scale=1.0)
    large, small = measure_sparsity([module]).total, measure_sparsity([tiny]).total
    assert small.delta_small == 1.0
    assert small.delta_relative == pytest.approx(large.delta_relative, abs=1e-3)
    assert (small.a_relative, small.b_relative) == (large.a_relative, large.b_relative)
    root_mean_square = float((module.b @ module.a).square().mean().sqrt())
    dense = (module.b @ module.a).abs() < 0.01 * root_mean_square
    assert large.delta_relative == pytest.approx(float(dense.float().mean()), abs=1e-3)


def test_zero_rows_of_b_are_zero_rows_of_delta() -> None:
    module = factors()
    module.b[:10] = 0
    measured = measure_sparsity([module])
    assert measured.total.delta_zero_rows == measured.modules[0].zero_rows == 0.25


def test_each_module_is_told_apart_and_the_total_weighs_entries() -> None:
    sparse = Factors(a=torch.zeros(4, 30), b=torch.ones(10, 4), scale=1.0)
    dense = Factors(a=torch.ones(4, 90), b=torch.ones(10, 4), scale=1.0)
    measured = measure_sparsity([sparse, dense])
    assert [module.a.zero for module in measured.modules] == [1.0, 0.0]
    assert measured.total.a_zero == 0.25

"""Quantities mean what they mean to Kubernetes."""

from decimal import Decimal

import pytest

from paft_api.quantities import quantity_value, whole_cores


@pytest.mark.parametrize(
    ("quantity", "value"),
    [
        ("0", "0"),
        ("4", "4"),
        ("500m", "0.5"),
        ("1.5", "1.5"),
        ("2k", "2000"),
        ("3G", "3000000000"),
        ("1Ki", "1024"),
        ("1.5Gi", "1610612736"),
        ("1Pi", "1125899906842624"),
    ],
)
def test_values(quantity: str, value: str) -> None:
    assert quantity_value(quantity) == Decimal(value)


@pytest.mark.parametrize(("cpu", "cores"), [("100m", 1), ("0", 1), ("1", 1), ("1999m", 1), ("2", 2), ("7.9", 7)])
def test_whole_cores(cpu: str, cores: int) -> None:
    assert whole_cores(cpu) == cores

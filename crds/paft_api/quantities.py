"""Kubernetes quantities as numbers."""

import re
from decimal import Decimal

_FACTORS = {
    "m": Decimal("0.001"),
    "": Decimal(1),
    **{unit: Decimal(1000) ** power for power, unit in enumerate(("k", "M", "G", "T", "P"), start=1)},
    **{unit: Decimal(1024) ** power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi"), start=1)},
}


def quantity_value(quantity: str) -> Decimal:
    """The number that a Quantity stands for: cores, bytes or pieces."""
    match = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", quantity)
    assert match is not None, f"{quantity!r} is no quantity"
    return Decimal(match[1]) * _FACTORS[match[2]]


def whole_cores(cpu: str) -> int:
    """Threads that a CPU request has room for, at least one."""
    return max(1, int(quantity_value(cpu)))

"""How the sparsity of each module developed: a few points in time, kept with the adapter.

A document of lists, so that 560 modules at 16 points stay below a megabyte:

    {"modules": [names], "points": [{"step": 200, "aZero": [one share per module], …, "deltaZeroRows": […]}, …]}
"""

from collections.abc import Mapping, Sequence
from typing import Any

from paft_trainer.training.sparsity import ModuleSparsity, Shares

MAXIMUM_POINTS = 16
"""Points that are kept; beyond, every second one goes, and the newest stays."""

_DIGITS = 4


def with_point(history: Mapping[str, Any], step: int, modules: Mapping[str, ModuleSparsity]) -> dict[str, Any]:
    """`history` (empty at first) and what was measured after optimizer step number `step`."""
    earlier = [point for point in history.get("points", ()) if point["step"] < step]
    points = [*earlier, {"step": step, **_columns(list(modules.values()))}]
    if len(points) > MAXIMUM_POINTS:
        points = points[::-2][::-1]
    return {"modules": list(modules), "points": points}


def _columns(modules: Sequence[ModuleSparsity]) -> dict[str, list[float]]:
    columns = {}
    for name in ("a", "b", "delta"):
        shares: list[Shares] = [getattr(module, name) for module in modules]
        columns |= {
            f"{name}Zero": [round(share.zero, _DIGITS) for share in shares],
            f"{name}Small": [round(share.small, _DIGITS) for share in shares],
            f"{name}Relative": [round(share.relative, _DIGITS) for share in shares],
        }
    return columns | {"deltaZeroRows": [round(module.zero_rows, _DIGITS) for module in modules]}

"""What a benchmark measures: figures, some of them with a goal that holds or is missed."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

WIDTH = 160
"""Columns where there is no terminal."""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One figure. `unit`: "" for a share or a ratio. `goal` and `holds` are None where nothing was promised."""

    name: str
    value: float
    unit: str
    goal: str | None = None
    holds: bool | None = None


def figure(name: str, value: float, unit: str = "") -> Measurement:
    """A figure without a goal."""
    return Measurement(name=name, value=value, unit=unit)


def at_most(name: str, value: float, limit: float, unit: str = "") -> Measurement:
    """A figure that must not exceed `limit`. NaN misses every goal."""
    return Measurement(name=name, value=value, unit=unit, goal=f"<= {limit:g}", holds=value <= limit)


def at_least(name: str, value: float, limit: float, unit: str = "") -> Measurement:
    """A figure that must reach `limit`. NaN misses every goal."""
    return Measurement(name=name, value=value, unit=unit, goal=f">= {limit:g}", holds=value >= limit)


def below(name: str, value: float, limit: float, unit: str = "") -> Measurement:
    """A figure that must stay under `limit`."""
    return Measurement(name=name, value=value, unit=unit, goal=f"< {limit:g}", holds=value < limit)


def above(name: str, value: float, limit: float, unit: str = "") -> Measurement:
    """A figure that must be over `limit`."""
    return Measurement(name=name, value=value, unit=unit, goal=f"> {limit:g}", holds=value > limit)


def exactly(name: str, value: float, wanted: float, unit: str = "") -> Measurement:
    """A figure that must be `wanted` to the last bit."""
    return Measurement(name=name, value=value, unit=unit, goal=f"= {wanted:g}", holds=value == wanted)


def write_measurements(path: Path, measurements: Sequence[Measurement]) -> None:
    """A JSON list of {name, value, unit, goal, holds}."""
    path.write_text(json.dumps([asdict(measurement) for measurement in measurements], indent=2) + "\n")


def tell_goals(measurements: Sequence[Measurement], json_file: Path | None) -> None:
    """How a benchmark ends: the table of goals, and all figures in a file where one is asked for."""
    open_console().print(goal_table(measurements))
    if json_file is not None:
        write_measurements(json_file, measurements)


def goal_table(measurements: Sequence[Measurement]) -> Table:
    """One line for each goal."""
    table = Table(title="Goals")
    for column in ("goal", "measured", "wanted", ""):
        table.add_column(column)
    for measurement in measurements:
        if measurement.goal is not None:
            verdict = "holds" if measurement.holds else "MISSED"
            value = f"{measurement.value:.4g} {measurement.unit}".rstrip()
            table.add_row(measurement.name, value, measurement.goal, verdict)
    return table


def open_console() -> Console:
    """As wide as the terminal, or as wide as the tables need where there is none."""
    return Console(width=None if Console().is_terminal else WIDTH)

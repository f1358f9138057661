"""The table of errors, and what is promised of them."""

from collections.abc import Sequence
from statistics import fmean

from benchmarks.estimate_load.measuring import Compared
from benchmarks.measurements import Measurement, at_most, figure
from rich.table import Table

_COLUMNS = (
    "arm",
    "base",
    "r",
    "rows × length",
    "checkpointing",
    "ranks",
    "measured, MB",
    "estimated",
    "error",
    "as it runs, MB",
    "estimated ",
    "error ",
)


def error_table(compared: Sequence[Compared]) -> Table:
    """One line for each arm. Bases by hidden size × layers and vocabulary."""
    table = Table(title="Peak memory of a process beyond its imports")
    for column in _COLUMNS:
        table.add_column(column)
    for one in compared:
        table.add_row(*_cells(one))
    return table


def measurements(compared: Sequence[Compared]) -> list[Measurement]:
    """Every figure, and the goals."""
    figures = []
    for one in compared:
        name = one.configuration.name
        figures += [
            figure(f"{name}: measured", one.measured / 1e6, "MB"),
            figure(f"{name}: error", one.error),
            figure(f"{name}: as it runs", one.as_it_runs / 1e6, "MB"),
            figure(f"{name}: error as it runs", one.error_as_it_runs),
        ]
    errors = [abs(one.error) for one in compared]
    as_it_runs = [abs(one.error_as_it_runs) for one in compared]
    return [
        *figures,
        at_most("mean error of what exists at once", fmean(errors), 0.1),
        at_most("largest error of what exists at once", max(errors), 0.25),
        at_most("mean error of processes as they run", fmean(as_it_runs), 0.2),
    ]


def _cells(one: Compared) -> tuple[str, ...]:
    arm = one.configuration
    return (
        arm.stage.value,
        f"{arm.base.hidden_size} × {arm.base.layers}, {arm.base.vocab_size}",
        str(arm.r),
        f"{arm.micro_batch_size} × {arm.max_length}",
        "yes" if arm.checkpointing else "no",
        str(arm.ranks),
        f"{one.measured / 1e6:.0f}",
        f"{one.estimated_at_once / 1e6:.0f}",
        f"{one.error:+.1%}",
        f"{one.as_it_runs / 1e6:.0f}",
        f"{one.estimated_as_it_runs / 1e6:.0f}",
        f"{one.error_as_it_runs:+.1%}",
    )

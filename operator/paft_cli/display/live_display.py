"""A table that is redrawn in place, on a terminal; events scroll by above it."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from paft_api.status import PaftJobStatus, StageState
from paft_cli.display.stage_rows import status_rows
from paft_operator.planner.actions import Event

_STYLES = {
    StageState.RUNNING.value: "cyan",
    StageState.WAITING.value: "yellow",
    StageState.STOPPED.value: "yellow",
    StageState.SUCCEEDED.value: "green",
    StageState.FAILED.value: "red",
}


class LiveDisplay:
    """To be entered for as long as the job runs."""

    def __init__(self, console: Console) -> None:
        self._console = console
        # No refreshing thread: launchers must be started from a process whose main thread does everything.
        self._live = Live(console=console, auto_refresh=False)
        self._shown: list[tuple[str, ...]] = []

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, status: PaftJobStatus) -> None:
        """Redraw the table where something in it changed."""
        rows = status_rows(status)
        if rows != self._shown:
            self._shown = rows
            self._live.update(_table(rows), refresh=True)

    def tell(self, event: Event) -> None:
        """A line above the table."""
        self._console.print(Text(event.message, style="" if event.type == "Normal" else "yellow"))


def _table(rows: list[tuple[str, ...]]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    kept = [index for index in range(len(rows[0])) if any(row[index] for row in rows[1:])]
    for index in kept:
        table.add_column(rows[0][index], no_wrap=rows[0][index] != "NOTE")
    for row in rows[1:]:
        table.add_row(*(Text(row[index], style=_STYLES.get(row[index], "")) for index in kept))
    return table

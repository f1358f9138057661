"""Lines of text, where there is no terminal: what changed, and progress every few seconds."""

import time
from collections.abc import Callable

from paft_api.report import Activity
from paft_api.stages import StageName
from paft_api.status import PaftJobStatus, StageState, StageStatus
from paft_cli.display.stage_rows import one_line
from paft_operator.planner.actions import Event

PROGRESS_INTERVAL_SECONDS = 5.0
"""Shortest time between two lines about one stage."""


class PlainDisplay:
    """Prints without timestamps; whoever collects the lines has a clock."""

    def __init__(self, write: Callable[[str], None], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._clock = clock
        self._shown: dict[StageName, tuple[float, str]] = {}

    def show(self, status: PaftJobStatus) -> None:
        """A line for each running stage that has changed and was not shown just now; transitions are events."""
        now = self._clock()
        for stage in status.stages:
            line = one_line(stage)
            shown_at, shown = self._shown.get(stage.name, (float("-inf"), ""))
            if stage.state is not StageState.RUNNING or not _has_news(stage) or line == shown:
                continue
            if now - shown_at >= PROGRESS_INTERVAL_SECONDS:
                self._shown[stage.name] = (now, line)
                self._write(line.rstrip())

    def tell(self, event: Event) -> None:
        """A line at once."""
        self._write(event.message if event.type == "Normal" else f"warning: {event.message}")


def _has_news(stage: StageStatus) -> bool:
    """Whether it counts steps or has more to say than what it does, such as what it waits for."""
    return stage.progress is not None or stage.message not in ("", *Activity)

"""How far a merge is, on one line that is drawn over, or a line every few seconds where there is no terminal."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.text import Text

from paft_api.durations import format_duration
from paft_api.report import Activity, Progress
from paft_cli.display.displays import is_live
from paft_cli.display.plain_display import PROGRESS_INTERVAL_SECONDS
from paft_cli.tables import format_bytes


class MergeDisplay(Protocol):
    """Shows a merge's progress."""

    def show(self, progress: Progress) -> None:
        """As it is now."""


@contextmanager
def merge_display_on(console: Console) -> Iterator[MergeDisplay]:
    """The one that fits where the output goes; nothing of it stays on a terminal."""
    if not is_live(console):
        yield MergeLines(lambda line: print(line, file=console.file, flush=True))
        return
    # No refreshing thread: launchers must be started from a process whose main thread does everything.
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield _OneLine(live)


class MergeLines:
    """A line now and then. `clock`: seconds, monotonic."""

    def __init__(self, write: Callable[[str], None], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._clock = clock
        self._shown_at = clock()

    def show(self, progress: Progress) -> None:
        """A line, if the last one is old enough."""
        now = self._clock()
        if now - self._shown_at >= PROGRESS_INTERVAL_SECONDS:
            self._shown_at = now
            self._write(progress_line(progress))


class _OneLine:
    def __init__(self, live: Live) -> None:
        self._live = live
        self._shown = ""

    def show(self, progress: Progress) -> None:
        line = progress_line(progress)
        if line != self._shown:
            self._shown = line
            self._live.update(Text(line), refresh=True)


def progress_line(progress: Progress) -> str:
    """`merging 120/290 tensors, 412.0 MB/s, 7s left`, or what of that is known; a rate only as long as it merges.

    What it waits for instead, where it waits.
    """
    if progress.waiting_for is not None:
        return progress.waiting_for
    words = re.sub(r"(?<=.)([A-Z])", r" \1", progress.activity.value).lower()
    parts = [f"{words} {progress.step}/{progress.total_steps} tensors" if progress.step is not None else words]
    is_merging = progress.activity is Activity.MERGING
    if is_merging and progress.bytes_per_second is not None:
        parts.append(f"{format_bytes(round(progress.bytes_per_second))}/s")
    if is_merging and progress.eta_seconds is not None:
        parts.append(f"{format_duration(progress.eta_seconds)} left")
    return ", ".join(parts)

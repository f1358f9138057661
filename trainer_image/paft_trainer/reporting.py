"""Writes one attempt's StageReport: at once when it starts and ends, and at most every few seconds in between."""

import os
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from paft_api.report import (
    MAXIMUM_TEXT,
    Activity,
    AdapterResult,
    Failure,
    MergeResult,
    PrepareResult,
    Progress,
    ReportState,
    StageReport,
)
from paft_api.run_spec import StageIdentity
from paft_api.stage_time import TimePart
from paft_trainer.stopwatch import Stopwatch

WRITE_INTERVAL_SECONDS = 5.0
"""Shortest time between two reports of progress."""


class ReportNotWritten(Exception):
    """A sink did not take a report. `permanent`: it will never take this one."""

    def __init__(self, message: str, *, permanent: bool) -> None:
        super().__init__(message)
        self.permanent = permanent


class ReportSink(Protocol):
    """Where a report goes: a local file, in a cluster also a ConfigMap."""

    def write(self, report: StageReport) -> None:
        """Replace the attempt's report as a whole. Raises ReportNotWritten, where the sink is another machine."""


class FileReportSink:
    """Keeps the report in one file that is replaced atomically, so that a reader never sees half of it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, report: StageReport) -> None:
        """Replace the file."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}.")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(report.to_json())
        os.replace(temporary, self._path)


class Reporter:
    """Collects progress and hands it to the sink. A reporter without a sink (ranks above 0) collects only.

    Waiting for the object store is laid over what a stage does: several threads may wait while others go on. So is
    compiling, which may be done before anything needs it. `reached_step`: up to it, steps are done again.
    """

    def __init__(
        self,
        identity: StageIdentity,
        sink: ReportSink | None,
        *,
        reached_step: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._identity = identity
        self._sink = sink
        self._reached_step = reached_step
        self._clock = clock
        self._lock = threading.RLock()
        self._progress = Progress()
        self._waiting_for: str | None = None
        self._compilations = 0
        self._written_at: float | None = None
        self._stopwatch = Stopwatch(clock=clock, since=clock())

    @property
    def progress(self) -> Progress:
        """The newest progress, as it is without waiting."""
        return self._progress

    def update(self, **fields: object) -> None:
        """Set fields of Progress by name; the report is written if the last one is old enough."""
        with self._lock:
            if self._waiting_for is not None or self._compilations > 0:
                # One thread waits or compiles, and this one got on all the same.
                self._stopwatch.was(self._part_of_work())
            self._progress = Progress.model_validate(self._progress.model_dump() | fields)
            self._turn()
            if self._is_due():
                self._write_running()

    def wait_for(self, what: str, *, waited: float = 0.0) -> None:
        """Report that the stage waits for the object store: at once if it did not before. `waited`: seconds that it has
        done so already."""
        with self._lock:
            begins = self._waiting_for is None
            self._waiting_for = what[:MAXIMUM_TEXT]
            self._turn(ago=waited if begins else 0.0)
            if begins or self._is_due():
                self._write_running()

    def go_on(self) -> None:
        """Report at once that it waits no more, and does what it did."""
        with self._lock:
            if self._waiting_for is not None:
                self._waiting_for = None
                self._turn()
                self._write_running()

    def begin_compiling(self) -> None:
        """Something is being compiled, by any thread."""
        with self._lock:
            self._compilations += 1
            self._turn()

    def end_compiling(self) -> None:
        """One of the things is compiled."""
        with self._lock:
            self._compilations -= 1
            self._turn()

    def take_over(self, report: StageReport) -> None:
        """Go on from what another process of this attempt reported."""
        with self._lock:
            self._progress = report.progress
            gap = (datetime.now(UTC) - report.updated_at).total_seconds()
            self._stopwatch = Stopwatch(
                clock=self._clock,
                since=self._clock() - max(0.0, gap),
                # One that has reported its end has ended since.
                part=self._part_of_work() if report.state is ReportState.RUNNING else TimePart.SAVE,
                spent=dict(report.time.parts) if report.time is not None else {},
            )

    def succeeded(self, result: PrepareResult | AdapterResult | MergeResult) -> None:
        """Report the result."""
        field = {PrepareResult: "prepare", AdapterResult: "adapter", MergeResult: "merge"}[type(result)]
        self._write(StageReport(state=ReportState.SUCCEEDED, **{field: result}, **self._common(self._progress)))

    def stopped(self) -> None:
        """Report that the stage was asked to stop and saved."""
        self._write(StageReport(state=ReportState.STOPPED, **self._common(self._progress)))

    def failed(self, failure: Failure) -> None:
        """Report why there is no result."""
        if self._stopwatch.part is TimePart.TRAIN:
            # Whatever was done since the last report, the next attempt does again.
            self._stopwatch.was(TimePart.REDO)
        self._write(StageReport(state=ReportState.FAILED, failure=failure, **self._common(self._progress)))

    def _part_of_work(self) -> TimePart:
        """What the stage's seconds are counted as where it neither waits for the object store nor compiles."""
        progress = self._progress
        is_done_again = progress.activity is Activity.TRAINING and (progress.step or 0) < self._reached_step
        return TimePart.REDO if is_done_again else progress.activity.part

    def _turn(self, *, ago: float = 0.0) -> None:
        part = self._part_of_work()
        # What is read meanwhile would take as long without compiling.
        if self._compilations > 0 and part in (TimePart.TRAIN, TimePart.REDO):
            part = TimePart.COMPILE
        if self._waiting_for is not None:
            part = TimePart.WAIT_FOR_STORAGE
        self._stopwatch.turn_to(part, ago=ago)

    def _is_due(self) -> bool:
        return self._written_at is None or self._clock() - self._written_at >= WRITE_INTERVAL_SECONDS

    def _write_running(self) -> None:
        progress = self._progress
        if self._waiting_for is not None:
            waiting = {"activity": Activity.WAITING_FOR_STORAGE, "waiting_for": self._waiting_for}
            progress = progress.model_copy(update=waiting)
        self._write(StageReport(state=ReportState.RUNNING, **self._common(progress)))

    def _common(self, progress: Progress) -> dict[str, object]:
        return {
            "identity": self._identity,
            "updated_at": datetime.now(UTC),
            "time": self._stopwatch.read(),
            "progress": progress,
        }

    def _write(self, report: StageReport) -> None:
        with self._lock:
            if self._sink is not None:
                self._sink.write(report)
                self._written_at = self._clock()

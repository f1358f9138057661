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

    Waiting for the object store is laid over what a stage does: several threads may wait while others go on.
    """

    def __init__(
        self, identity: StageIdentity, sink: ReportSink | None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._identity = identity
        self._sink = sink
        self._clock = clock
        self._lock = threading.RLock()
        self._progress = Progress()
        self._waiting_for: str | None = None
        self._written_at: float | None = None

    @property
    def progress(self) -> Progress:
        """The newest progress, as it is without waiting."""
        return self._progress

    def update(self, **fields: object) -> None:
        """Set fields of Progress by name; the report is written if the last one is old enough."""
        with self._lock:
            self._progress = Progress.model_validate(self._progress.model_dump() | fields)
            if self._is_due():
                self._write_running()

    def wait_for(self, what: str) -> None:
        """Report that the stage waits for the object store: at once if it did not before."""
        with self._lock:
            begins = self._waiting_for is None
            self._waiting_for = what[:MAXIMUM_TEXT]
            if begins or self._is_due():
                self._write_running()

    def go_on(self) -> None:
        """Report at once that it waits no more, and does what it did."""
        with self._lock:
            if self._waiting_for is not None:
                self._waiting_for = None
                self._write_running()

    def take_over(self, progress: Progress) -> None:
        """Go on from what another process of this attempt reported."""
        with self._lock:
            self._progress = progress

    def succeeded(self, result: PrepareResult | AdapterResult | MergeResult) -> None:
        """Report the result."""
        field = {PrepareResult: "prepare", AdapterResult: "adapter", MergeResult: "merge"}[type(result)]
        self._write(StageReport(state=ReportState.SUCCEEDED, **{field: result}, **self._common(self._progress)))

    def stopped(self) -> None:
        """Report that the stage was asked to stop and saved."""
        self._write(StageReport(state=ReportState.STOPPED, **self._common(self._progress)))

    def failed(self, failure: Failure) -> None:
        """Report why there is no result."""
        self._write(StageReport(state=ReportState.FAILED, failure=failure, **self._common(self._progress)))

    def _is_due(self) -> bool:
        return self._written_at is None or self._clock() - self._written_at >= WRITE_INTERVAL_SECONDS

    def _write_running(self) -> None:
        progress = self._progress
        if self._waiting_for is not None:
            waiting = {"activity": Activity.WAITING_FOR_STORAGE, "waiting_for": self._waiting_for}
            progress = progress.model_copy(update=waiting)
        self._write(StageReport(state=ReportState.RUNNING, **self._common(progress)))

    def _common(self, progress: Progress) -> dict[str, object]:
        return {"identity": self._identity, "updated_at": datetime.now(UTC), "progress": progress}

    def _write(self, report: StageReport) -> None:
        with self._lock:
            if self._sink is not None:
                self._sink.write(report)
                self._written_at = self._clock()

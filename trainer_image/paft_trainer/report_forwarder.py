"""Forwards an attempt's report file to a ReportSink that may be away, so that nobody who reports ever waits for it."""

import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from paft_api.report import ReportState, StageReport
from paft_trainer.reporting import ReportNotWritten, ReportSink

POLL_SECONDS = 0.5
"""How soon a change of the file is seen."""

LONGEST_PAUSE_SECONDS = 15.0
"""Between two tries; the first pause is a second, each further one twice the last."""

LAST_WRITE_SECONDS = 300.0
"""How long the last report is tried after the attempt has ended."""

STOPPED_WRITE_SECONDS = 20.0
"""The same after a stop, when the grace period is running out."""


class ReportForwarder:
    """Forwards while its block runs; when that ends, the last report is tried for a bounded time.

    It follows the file in a thread of its own. Trouble with the sink goes to the log and nowhere else.
    """

    def __init__(
        self,
        report_file: Path,
        sink: ReportSink,
        *,
        last_write_seconds: float = LAST_WRITE_SECONDS,
        stopped_write_seconds: float = STOPPED_WRITE_SECONDS,
    ) -> None:
        self._report_file = report_file
        self._sink = sink
        self._last_write_seconds = last_write_seconds
        self._stopped_write_seconds = stopped_write_seconds
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="report-forwarder", daemon=True)
        self._done: StageReport | None = None
        """The newest report that needs no further try: it was written, or never will be."""
        self._failures = 0
        self._told: str | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.wait(self._pause_seconds()):
            self._forward()
        self._insist()

    def _forward(self) -> None:
        report = self._read()
        if report is None or report == self._done:
            return
        try:
            self._sink.write(report)
        except ReportNotWritten as error:
            self._failures += 1
            self._tell(f"the report could not be written ({error})")
            if not error.permanent:
                return
        else:
            self._failures = 0
            self._told = None
        self._done = report

    def _insist(self) -> None:
        report = self._read()
        stopped = report is not None and report.state is ReportState.STOPPED
        deadline = time.monotonic() + (self._stopped_write_seconds if stopped else self._last_write_seconds)
        self._failures = 0
        self._forward()
        while self._done != report and time.monotonic() < deadline:
            time.sleep(min(self._pause_seconds(), max(0.0, deadline - time.monotonic())))
            self._forward()
        if self._done != report:
            self._tell("the last report was not written; the operator has to do without it")

    def _pause_seconds(self) -> float:
        if self._failures == 0:
            return POLL_SECONDS
        return float(min(LONGEST_PAUSE_SECONDS, 2 ** min(self._failures - 1, 10)))

    def _read(self) -> StageReport | None:
        if not self._report_file.exists():
            return None
        return StageReport.model_validate_json(self._report_file.read_text(encoding="utf-8"))

    def _tell(self, trouble: str) -> None:
        """Once for each kind of trouble in a row."""
        if trouble != self._told:
            print(trouble, file=sys.stderr, flush=True)
        self._told = trouble

"""What a stage reports while it runs, as a reader sees it who looks often."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from paft_api.report import StageReport

LOOK_SECONDS = 0.02


@contextmanager
def followed(report_file: Path) -> Iterator[list[StageReport]]:
    """Every other report that the file holds, in their order; complete once the block has ended."""
    reports: list[StageReport] = []
    done = threading.Event()

    def look() -> None:
        if report_file.exists():
            report = StageReport.model_validate_json(report_file.read_text())
            if not reports or report != reports[-1]:
                reports.append(report)

    def follow() -> None:
        while not done.wait(LOOK_SECONDS):
            look()

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        yield reports
    finally:
        done.set()
        thread.join()
        look()

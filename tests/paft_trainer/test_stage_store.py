"""A stage waits for an object store that is away, says so, and goes on by itself."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.paft_trainer.followed_reports import followed
from tests.paft_trainer.storage.unreliable_proxy import UnreliableProxy, answer_with, unreliable_proxy
from tests.paft_trainer.test_launcher import Attempt

from paft_api.causes import EXIT_SUCCEEDED
from paft_api.report import Activity, ReportState, StageReport
from paft_api.run_spec import StageIdentity
from paft_api.spec.storage import StorageSpec
from paft_api.stages import StageName
from paft_trainer.reporting import Reporter
from paft_trainer.stage_store import StorageWait

METHODS = ("GET", "PUT", "HEAD", "POST", "DELETE")


class Collected:
    """Every report."""

    def __init__(self) -> None:
        self.reports: list[StageReport] = []

    def write(self, report: StageReport) -> None:
        self.reports.append(report)

    @property
    def waits(self) -> list[str | None]:
        return [report.progress.waiting_for for report in self.reports]


@pytest.fixture
def sink() -> Collected:
    return Collected()


@pytest.fixture
def reporter(sink: Collected) -> Reporter:
    identity = StageIdentity(
        job_name="demo", job_namespace="default", job_uid="u", generation=1, stage=StageName.SFT, attempt=1
    )
    return Reporter(identity, sink)


def test_a_single_lost_answer_is_no_news(reporter: Reporter, sink: Collected) -> None:
    seconds = iter([0.0, 0.9, 0.95])
    wait = StorageWait(reporter, clock=lambda: next(seconds))

    wait.goes_on("waiting for x: 1")
    wait.goes_on("waiting for x: 2")
    wait.is_over()

    assert sink.waits == []


def test_a_wait_is_told_once_it_lasts_and_when_it_is_over(
    reporter: Reporter, sink: Collected, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds = iter([0.0, 1.0, 9.0, 20.0, 20.5])
    wait = StorageWait(reporter, clock=lambda: next(seconds))

    wait.goes_on("waiting for x: 1")
    wait.goes_on("waiting for x: 2")
    wait.is_over()
    # The next wait has to last as long again.
    wait.goes_on("waiting for y: 1")
    wait.goes_on("waiting for y: 2")

    assert sink.waits == ["waiting for x: 2", None]
    assert capsys.readouterr().out.splitlines()[:3] == [
        "waiting for x: 1",
        "waiting for x: 2",
        "the object store answers again",
    ]


@pytest.fixture
def proxy(s3: StorageSpec) -> Iterator[UnreliableProxy]:
    assert s3.endpoint is not None
    with unreliable_proxy(s3.endpoint) as proxy:
        yield proxy


def be_away(proxy: UnreliableProxy, *, seconds: float) -> threading.Timer:
    """Every request is turned away from now on, for some seconds; the timer ends when they are over."""
    proxy.faults = [(method, "", answer_with(503, "SlowDown")) for method in METHODS for _ in range(1000)]
    back = threading.Timer(seconds, proxy.faults.clear)
    back.start()
    return back


def test_prepare_waits_for_a_store_that_is_away_for_some_seconds(
    arm_root: Path, tmp_path: Path, s3: StorageSpec, proxy: UnreliableProxy, capsys: pytest.CaptureFixture[str]
) -> None:
    storage = s3.to_document() | {"endpoint": proxy.endpoint, "retryWindow": 60}
    attempt = Attempt(arm_root, tmp_path, storage)
    proxy.faults = [
        (method, "", answer_with(503, "SlowDown")) for method in ("GET", "PUT", "HEAD") for _ in range(1000)
    ]
    back = threading.Timer(4.0, lambda: proxy.faults.clear())
    back.start()

    with followed(attempt.report_path) as reports:
        assert attempt.launch() == EXIT_SUCCEEDED
    back.join()

    require_waited(reports)
    assert "the object store answers again" in capsys.readouterr().out


def require_waited(reports: list[StageReport]) -> None:
    """That a stage said what it waits for, and then went on to its end."""
    waiting = [report for report in reports if report.progress.activity is Activity.WAITING_FOR_STORAGE]
    assert waiting
    assert all(report.state is ReportState.RUNNING for report in waiting)
    told = waiting[0].progress.waiting_for
    assert told is not None
    assert told.startswith("waiting for the object store: s3://")
    assert "SlowDown" in told
    assert reports[-1].state is ReportState.SUCCEEDED
    assert reports[-1].progress.waiting_for is None

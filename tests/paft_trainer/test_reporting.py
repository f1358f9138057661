"""Reports: whole, atomic, and not too often."""

from pathlib import Path

from paft_api.causes import Cause
from paft_api.report import Activity, Failure, ReportState, StageReport
from paft_api.run_spec import StageIdentity
from paft_api.stages import StageName
from paft_trainer.reporting import FileReportSink, Reporter

IDENTITY = StageIdentity(
    job_name="demo", job_namespace="default", job_uid="u", generation=1, stage=StageName.SFT, attempt=2
)


class Collected:
    def __init__(self) -> None:
        self.reports: list[StageReport] = []

    def write(self, report: StageReport) -> None:
        self.reports.append(report)


def test_progress_is_written_at_once_and_then_at_most_every_five_seconds() -> None:
    now = 0.0
    sink = Collected()
    reporter = Reporter(IDENTITY, sink, clock=lambda: now)
    for second in range(11):
        now = float(second)
        reporter.update(activity=Activity.TRAINING, step=second)
    assert [report.progress.step for report in sink.reports] == [0, 5, 10]


def test_the_end_is_written_at_once_with_the_newest_progress() -> None:
    sink = Collected()
    reporter = Reporter(IDENTITY, sink, clock=lambda: 0.0)
    reporter.update(step=1)
    reporter.update(step=2)
    reporter.failed(Failure(cause=Cause.DIVERGED, message="m", remedy="r"))
    assert [report.state for report in sink.reports] == [ReportState.RUNNING, ReportState.FAILED]
    assert sink.reports[-1].progress.step == 2


def test_a_file_holds_one_whole_report(tmp_path: Path) -> None:
    path = tmp_path / "attempt" / "report.json"
    reporter = Reporter(IDENTITY, FileReportSink(path))
    reporter.update(step=3, total_steps=9)
    reporter.stopped()
    report = StageReport.model_validate_json(path.read_text())
    assert (report.identity, report.state, report.progress.step) == (IDENTITY, ReportState.STOPPED, 3)
    assert [entry.name for entry in path.parent.iterdir()] == ["report.json"]


def test_waiting_is_told_at_once_and_laid_over_what_the_stage_does() -> None:
    now = 0.0
    sink = Collected()
    reporter = Reporter(IDENTITY, sink, clock=lambda: now)
    reporter.update(activity=Activity.LOADING, step=1)
    reporter.wait_for("waiting for x")
    reporter.wait_for("waiting for y")
    reporter.update(step=2)
    now = 5.0
    reporter.wait_for("waiting for z")
    reporter.go_on()
    reporter.go_on()

    told = [(one.progress.activity, one.progress.waiting_for, one.progress.step) for one in sink.reports]
    assert told == [
        (Activity.LOADING, None, 1),
        (Activity.WAITING_FOR_STORAGE, "waiting for x", 1),
        (Activity.WAITING_FOR_STORAGE, "waiting for z", 2),
        (Activity.LOADING, None, 2),
    ]


def test_the_end_is_not_a_wait() -> None:
    sink = Collected()
    reporter = Reporter(IDENTITY, sink)
    reporter.update(activity=Activity.SAVING)
    reporter.wait_for("w" * 3000)
    reporter.stopped()

    assert [len(report.progress.waiting_for or "") for report in sink.reports] == [0, 2048, 0]
    assert sink.reports[-1].progress.activity is Activity.SAVING

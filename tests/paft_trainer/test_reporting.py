"""Reports: whole, atomic, not too often, and with every second accounted for."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paft_api.causes import Cause
from paft_api.report import Activity, Failure, Progress, ReportState, StageReport
from paft_api.run_spec import StageIdentity
from paft_api.stage_time import AttemptTime
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


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def spent(sink: Collected) -> dict[str, float]:
    """Parts of the last report that have seconds."""
    time = sink.reports[-1].time
    assert time is not None
    return {part.value: seconds for part, seconds in time.parts.items() if seconds}


def test_every_second_belongs_to_what_was_done_in_it() -> None:
    clock, sink = Clock(), Collected()
    reporter = Reporter(IDENTITY, sink, reached_step=2, clock=clock)
    for seconds, fields in (
        (1, {"activity": Activity.LOADING}),
        (20, {"activity": Activity.TRAINING}),
        (5, {"activity": Activity.TRAINING, "step": 1}),
        (6, {"activity": Activity.TRAINING, "step": 2}),
        (7, {"activity": Activity.EVALUATING}),
        (3, {"activity": Activity.TRAINING, "step": 3}),
        (8, {"activity": Activity.SAVING}),
        (2, {"activity": Activity.TRAINING}),
    ):
        clock.now += seconds
        reporter.update(**fields)
    clock.now += 0.5
    reporter.stopped()

    # The first two steps had been done before.
    assert spent(sink) == {"load": 21, "redo": 11, "train": 7 + 8 + 0.5, "evaluate": 3, "save": 2}


@pytest.mark.parametrize(("activity", "part"), [(Activity.TRAINING, "compile"), (Activity.LOADING, "load")])
def test_compiling_counts_where_work_waits_for_it(activity: Activity, part: str) -> None:
    clock, sink = Clock(), Collected()
    reporter = Reporter(IDENTITY, sink, clock=clock)
    reporter.update(activity=activity)
    reporter.begin_compiling()
    reporter.begin_compiling()
    clock.now += 4
    reporter.end_compiling()
    clock.now += 3
    reporter.end_compiling()
    reporter.stopped()

    assert spent(sink) == {part: 7}


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        (lambda reporter: reporter.wait_for("x"), Reporter.go_on),
        (Reporter.begin_compiling, Reporter.end_compiling),
    ],
)
def test_what_gets_on_meanwhile_is_work(begin: Callable[[Reporter], None], end: Callable[[Reporter], None]) -> None:
    clock, sink = Clock(), Collected()
    reporter = Reporter(IDENTITY, sink, clock=clock)
    reporter.update(activity=Activity.TRAINING, step=1)
    begin(reporter)
    for step in (2, 3):
        clock.now += 5
        reporter.update(step=step)
    clock.now += 2
    end(reporter)
    reporter.stopped()

    time = sink.reports[-1].time
    assert time is not None
    assert (time.train, time.compile + time.wait_for_storage) == (10, 2)


def test_a_wait_that_is_told_of_late_counts_from_its_beginning() -> None:
    clock, sink = Clock(), Collected()
    reporter = Reporter(IDENTITY, sink, clock=clock)
    reporter.update(activity=Activity.SAVING)
    clock.now += 8
    reporter.wait_for("x", waited=5)
    clock.now += 2
    reporter.wait_for("x", waited=7)
    clock.now += 1
    reporter.go_on()
    clock.now += 4
    reporter.stopped()

    assert spent(sink) == {"save": 3 + 4, "wait_for_storage": 8}


def test_what_a_failure_interrupts_will_be_done_again() -> None:
    clock, sink = Clock(), Collected()
    reporter = Reporter(IDENTITY, sink, clock=clock)
    reporter.update(activity=Activity.TRAINING, step=1)
    clock.now += 5
    reporter.update(activity=Activity.TRAINING, step=2)
    clock.now += 300
    reporter.failed(Failure(cause=Cause.HANG, message="m", remedy="r"))

    assert spent(sink) == {"train": 5, "redo": 300}


def test_another_process_of_the_attempt_goes_on_counting() -> None:
    clock, sink = Clock(), Collected()
    report = StageReport(
        identity=IDENTITY,
        state=ReportState.RUNNING,
        updated_at=datetime.now(UTC) - timedelta(seconds=50),
        time=AttemptTime(load=9.0),
        progress=Progress(activity=Activity.LOADING),
    )
    reporter = Reporter(IDENTITY, sink, clock=clock)
    reporter.take_over(report)
    clock.now += 1
    reporter.update(activity=Activity.TRAINING)
    clock.now += 2
    reporter.stopped()

    time = sink.reports[-1].time
    assert time is not None
    assert time.train == 2
    assert time.load == pytest.approx(60, abs=1)


HAPPENINGS = st.one_of(
    st.builds(lambda activity, step: ("update", activity, step), st.sampled_from(Activity), st.integers(0, 9)),
    st.sampled_from([("wait",), ("go on",), ("begin",), ("end",)]),
)


@given(happenings=st.lists(st.tuples(st.floats(0, 100), HAPPENINGS), max_size=30), fails=st.booleans())
def test_all_parts_are_the_time_from_start_to_end(
    happenings: list[tuple[float, tuple[object, ...]]], fails: bool
) -> None:
    clock, sink = Clock(), Collected()
    reporter = Reporter(IDENTITY, sink, reached_step=4, clock=clock)
    for seconds, happening in happenings:
        clock.now += seconds
        match happening:
            case ("update", activity, step):
                reporter.update(activity=activity, step=step)
            case ("wait",):
                reporter.wait_for("x")
            case ("go on",):
                reporter.go_on()
            case ("begin",):
                reporter.begin_compiling()
            case ("end",):
                reporter.end_compiling()
    if fails:
        reporter.failed(Failure(cause=Cause.HANG, message="m", remedy="r"))
    else:
        reporter.stopped()

    time = sink.reports[-1].time
    assert time is not None
    assert time.total == pytest.approx(clock.now - 100.0, abs=0.01)

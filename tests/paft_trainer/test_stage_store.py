"""A stage waits for an object store that is away, says so, and goes on by itself."""

import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hack import seaweedfs
from tests.merges import folder_uri, merge_run_spec
from tests.paft_trainer.followed_reports import followed
from tests.paft_trainer.launched_arms import Attempt as ArmAttempt
from tests.paft_trainer.launched_arms import wait_until
from tests.paft_trainer.launching.test_launcher import Attempt as PrepareAttempt
from tests.paft_trainer.storage.unreliable_proxy import UnreliableProxy, answer_with, unreliable_proxy
from tests.tiny_models import build_adapter, build_checkpoint

from paft_api.causes import EXIT_SUCCEEDED
from paft_api.report import Activity, ReportState, StageReport
from paft_api.run_spec import RunSpec, StageIdentity
from paft_api.spec.storage import StorageSpec
from paft_api.stages import StageName
from paft_trainer import merge
from paft_trainer.reporting import FileReportSink, Reporter
from paft_trainer.stage_store import StorageWait


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


def goes_away_at(proxy: UnreliableProxy, method: str, part: str, *, seconds: float) -> None:
    """With the first such request, every request is turned away for some seconds."""
    refuse = answer_with(503, "SlowDown")

    def begin(handler: Any, ask: Any) -> None:
        proxy.faults = [(one, "", refuse) for one in ("GET", "PUT", "HEAD", "POST", "DELETE") for _ in range(1000)]
        threading.Timer(seconds, proxy.faults.clear).start()
        refuse(handler, ask)

    proxy.faults = [(method, part, begin)]


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
    # The store is away for three seconds at least, and a wait counts from its beginning.
    time = reports[-1].time
    assert time is not None
    assert time.wait_for_storage > 2


def test_prepare_waits_for_a_store_that_is_away_for_some_seconds(
    arm_root: Path, tmp_path: Path, s3: StorageSpec, proxy: UnreliableProxy, capsys: pytest.CaptureFixture[str]
) -> None:
    storage = s3.to_document() | {"endpoint": proxy.endpoint, "retryWindow": 60}
    attempt = PrepareAttempt(arm_root, tmp_path, storage)
    goes_away_at(proxy, "PUT", "artifacts", seconds=3)

    with followed(attempt.report_path) as reports:
        assert attempt.launch() == EXIT_SUCCEEDED

    require_waited(reports)
    assert "the object store answers again" in capsys.readouterr().out


@pytest.mark.slow
def test_a_merge_waits_before_its_shards(tmp_path: Path, s3: StorageSpec, proxy: UnreliableProxy) -> None:
    base = build_checkpoint(tmp_path / "base")
    adapters = {
        arm: folder_uri(build_adapter(tmp_path / arm, base, seed=seed))
        for seed, arm in enumerate(("sft", "preference"), start=1)
    }
    run_spec = merge_run_spec(
        base=folder_uri(base),
        **adapters,
        output=f"{s3.artifacts_uri}merged/",
        artifacts=f"{s3.artifacts_uri}artifacts/",
        endpoint=proxy.endpoint,
    )
    goes_away_at(proxy, "PUT", "model", seconds=3)
    report_file = tmp_path / "report.json"
    reporter = Reporter(run_spec.identity, FileReportSink(report_file))

    with followed(report_file) as reports:
        reporter.succeeded(merge.run(run_spec, reporter))

    require_waited(reports)


def _ends_of_waits(reports: list[StageReport]) -> int:
    waits = [report.progress.waiting_for is not None for report in list(reports)]
    return sum(before and not after for before, after in pairwise(waits))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_arm_waits_at_its_start_and_when_it_saves(
    arm_root: Path, tmp_path: Path, s3: StorageSpec, s3_server: seaweedfs.S3Server, proxy: UnreliableProxy
) -> None:
    secret = tmp_path / "s3"
    secret.mkdir()
    for name, value in s3_server.environment.items():
        (secret / name).write_text(value)
    attempt = ArmAttempt(arm_root, "waiting", 1, maxSteps=8, saveSteps=4)
    document = attempt.run_spec.to_document()
    document["storage"] = s3.to_document() | {
        "endpoint": proxy.endpoint,
        "retryWindow": 60,
        "secretRef": {"name": "s3"},
    }
    document["credentials"] = [{"secretName": "s3", "directory": str(secret)}]
    attempt.file.write_text(RunSpec.model_validate(document, strict=False).to_json())
    goes_away_at(proxy, "GET", "", seconds=4)

    with followed(Path(attempt.run_spec.report_path)) as reports:
        attempt.start(AWS_SECRET_ACCESS_KEY="not-it")
        wait_until(lambda: _ends_of_waits(reports) > 0)
        goes_away_at(proxy, "PUT", "checkpoints", seconds=4)
        assert attempt.end() == EXIT_SUCCEEDED

    require_waited(reports)
    steps = [report.progress.step for report in reports if report.progress.waiting_for is not None]
    assert steps[0] is None
    assert steps[-1] is not None
    assert _ends_of_waits(reports) >= 2

"""Reports reach the ConfigMap when the API server is there, and harm nobody when it is not."""

import time
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path

import pytest
from tests.paft_trainer.config_map_server import config_map_server
from tests.ranks import free_port

from paft_api.causes import Cause
from paft_api.report import Failure
from paft_api.run_spec import StageIdentity
from paft_api.stages import StageName
from paft_trainer.config_map_reports import ConfigMapReportSink
from paft_trainer.report_forwarder import ReportForwarder
from paft_trainer.reporting import FileReportSink, Reporter, ReportNotWritten, ReportSink

IDENTITY = StageIdentity(
    job_name="demo", job_namespace="team-a", job_uid="u", generation=1, stage=StageName.SFT, attempt=2
)
FAILURE = Failure(cause=Cause.DIVERGED, message="m", remedy="r")


def test_a_report_is_one_merge_patch_with_the_token_of_now(tmp_path: Path) -> None:
    with config_map_server() as server:
        sink = _sink(tmp_path, server.port)
        for token in ("first", "renewed\n"):
            (tmp_path / "token").write_text(token)
            Reporter(IDENTITY, sink).update(step=3)

    path = "/api/v1/namespaces/team-a/configmaps/demo-sft-2-report?fieldManager=paft-trainer"
    assert [request[:3] for request in server.requests] == [
        (path, "Bearer first", "application/merge-patch+json"),
        (path, "Bearer renewed", "application/merge-patch+json"),
    ]
    assert [list(request[3]) for request in server.requests] == [["data"], ["data"]]
    assert server.written()[0]["progress"] == {"activity": "Starting", "step": 3, "warnings": []}


@pytest.mark.parametrize(
    ("status", "permanent"), [(400, True), (404, True), (422, True), (401, False), (403, False), (429, False)]
)
def test_refusals_say_whether_another_try_can_help(tmp_path: Path, status: int, permanent: bool) -> None:
    with config_map_server() as server:
        server.answers = [status]
        with pytest.raises(ReportNotWritten, match=f"{status} said {status}") as refused:
            Reporter(IDENTITY, _sink(tmp_path, server.port)).update(step=3)

    assert refused.value.permanent is permanent


def test_every_change_of_the_file_is_forwarded_once(tmp_path: Path) -> None:
    with config_map_server() as server:
        reporter = Reporter(IDENTITY, FileReportSink(tmp_path / "report.json"))
        with ReportForwarder(tmp_path / "report.json", _sink(tmp_path, server.port)):
            reporter.update(step=1)
            _wait_for(lambda: len(server.requests) == 1)
            reporter.stopped()
            _wait_for(lambda: len(server.requests) == 2)

    assert [report["state"] for report in server.written()] == ["Running", "Stopped"]


def test_the_last_report_waits_for_a_server_that_comes_back(tmp_path: Path) -> None:
    reporter = Reporter(IDENTITY, FileReportSink(tmp_path / "report.json"))
    with config_map_server() as server:
        server.answers = [500, 403, 429]
        with ReportForwarder(tmp_path / "report.json", _sink(tmp_path, server.port)):
            reporter.update(step=1)
            reporter.failed(FAILURE)

    assert server.written()[-1]["failure"]["cause"] == "Diverged"
    assert len(server.requests) == 4


def test_whoever_reports_never_waits_for_a_server_that_is_away(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    reporter = Reporter(IDENTITY, FileReportSink(tmp_path / "report.json"))
    with ReportForwarder(tmp_path / "report.json", _sink(tmp_path, free_port()), last_write_seconds=2.0):
        started = time.monotonic()
        reporter.update(step=1)
        time.sleep(1.0)
        reporter.failed(FAILURE)
        reported = time.monotonic()
    ended = time.monotonic()

    assert reported - started < 1.5
    assert 1.9 < ended - reported < 4
    # Trouble that stays the same is told once.
    assert capfd.readouterr().err.splitlines() == [
        "the report could not be written (ConnectionRefusedError: [Errno 111] Connection refused)",
        "the last report was not written; the operator has to do without it",
    ]


def test_a_stop_gives_up_sooner(tmp_path: Path) -> None:
    Reporter(IDENTITY, FileReportSink(tmp_path / "report.json")).stopped()

    started = time.monotonic()
    with ReportForwarder(tmp_path / "report.json", _sink(tmp_path, free_port()), stopped_write_seconds=0.5):
        pass

    assert time.monotonic() - started < 3


def test_a_config_map_that_is_gone_is_not_waited_for(tmp_path: Path) -> None:
    Reporter(IDENTITY, FileReportSink(tmp_path / "report.json")).failed(FAILURE)
    with config_map_server() as server:
        server.answers = [404] * 10
        started = time.monotonic()
        with ReportForwarder(tmp_path / "report.json", _sink(tmp_path, server.port)):
            pass
        ended = time.monotonic()

    assert ended - started < 3
    assert len(server.requests) == 1


def _sink(folder: Path, port: int) -> ReportSink:
    token = folder / "token"
    token.touch()
    return ConfigMapReportSink(
        namespace="team-a",
        name="demo-sft-2-report",
        token_file=token,
        connect=lambda: HTTPConnection("127.0.0.1", port, timeout=5),
    )


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)

"""What the launcher leaves behind: exit code, termination message and report, for stages without ranks."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.paft_trainer.prepare.jobs import prepare_run_spec

from paft_api.causes import CAUSE_FACTS, EXIT_STOPPED, EXIT_SUCCEEDED, Cause
from paft_api.report import Failure, ReportState, StageReport
from paft_api.run_spec import RunSpec, TerminationMessage
from paft_api.stages import StageName
from paft_trainer.launching import launcher
from paft_trainer.launching.launcher import launch
from paft_trainer.launching.parent_process import PARENT_VARIABLE


class Attempt:
    """An attempt at prepare whose files lie in one folder."""

    def __init__(self, root: Path, folder: Path, storage: dict[str, Any] | None = None, **changes: Any) -> None:
        self.termination_path = folder / "termination.json"
        self.report_path = folder / "report.json"
        self.run_spec = prepare_run_spec(
            root,
            storage or {"artifactsUri": f"file://{folder}/artifacts/"},
            scratchDirectory=str(folder / "scratch"),
            **changes,
        )
        document = self.run_spec.to_document()
        document |= {"terminationPath": str(self.termination_path), "reportPath": str(self.report_path)}
        self.file = folder / "run_spec.json"
        self.file.write_text(RunSpec.model_validate(document, strict=False).to_json())

    def launch(self) -> int:
        return launch(StageName.PREPARE, self.file)

    @property
    def termination(self) -> TerminationMessage:
        return TerminationMessage.model_validate_json(self.termination_path.read_text())

    @property
    def report(self) -> StageReport:
        return StageReport.model_validate_json(self.report_path.read_text())


def test_success_is_exit_code_report_and_an_empty_message(arm_root: Path, tmp_path: Path) -> None:
    attempt = Attempt(arm_root, tmp_path)
    assert attempt.launch() == EXIT_SUCCEEDED
    assert json.loads(attempt.termination_path.read_text()) == {"message": "", "remedy": "", "exitCode": 0}
    assert attempt.report.state is ReportState.SUCCEEDED
    assert attempt.report.has_result
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_failure_is_told_by_exit_code_report_and_message(
    arm_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.jsonl").touch()
    sft = {"train": [{"uri": f"file://{tmp_path}/empty.jsonl", "format": "messages"}]}
    attempt = Attempt(arm_root, tmp_path, sft__data=sft, sft__lora={"targetModules": ["q_poj"]})
    assert attempt.launch() == CAUSE_FACTS[Cause.CONFIG_INVALID].exit_code == 85
    assert attempt.termination == TerminationMessage(
        cause=Cause.CONFIG_INVALID,
        message="spec.sft.lora.targetModules: targetModules 'q_poj' is no linear module of the base\n"
        f"spec.sft.data.train[0].uri: file://{tmp_path}/empty.jsonl: the file has no rows",
        remedy="Did you mean q_proj? The base has down_proj, gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj.",
        exit_code=85,
    )
    assert attempt.report.failure is not None
    assert [finding.field for finding in attempt.report.failure.findings] == [
        "spec.sft.lora.targetModules",
        "spec.sft.data.train[0].uri",
    ]
    assert f"ConfigInvalid: {attempt.termination.message}\n" in capsys.readouterr().err


def test_a_message_file_that_is_there_is_written_in_place(arm_root: Path, tmp_path: Path) -> None:
    attempt = Attempt(arm_root, tmp_path)
    attempt.termination_path.touch()
    inode = attempt.termination_path.stat().st_ino
    assert attempt.launch() == EXIT_SUCCEEDED
    assert attempt.termination.exit_code == EXIT_SUCCEEDED
    assert attempt.termination_path.stat().st_ino == inode


def test_the_exit_code_tells_the_cause_where_no_message_can_be_written(arm_root: Path, tmp_path: Path) -> None:
    attempt = Attempt(arm_root, tmp_path, sft__lora={"targetModules": ["q_poj"]})
    attempt.termination_path.mkdir()
    assert attempt.launch() == CAUSE_FACTS[Cause.CONFIG_INVALID].exit_code
    assert attempt.report.state is ReportState.FAILED


def test_many_long_findings_fit_into_a_pods_termination_message(arm_root: Path, tmp_path: Path) -> None:
    missing = [{"uri": f"file:///{'数据' * 40}{number}.jsonl", "format": "messages"} for number in range(32)]
    attempt = Attempt(arm_root, tmp_path, sft__data={"train": missing})
    assert attempt.launch() == CAUSE_FACTS[Cause.CONFIG_INVALID].exit_code
    assert 2000 < attempt.termination_path.stat().st_size <= 4096
    assert attempt.termination.message.startswith("spec.sft.data.train[0].uri: file:///数据数据")
    assert attempt.report.failure is not None
    assert len(attempt.report.failure.findings) == 32


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40).flatmap(
    lambda piece: st.integers(0, 60).map(lambda times: (piece * times)[:2000])
)


@given(message=TEXT, remedy=TEXT, rank=st.none() | st.integers(0, 99_999), cause=st.sampled_from(Cause))
def test_any_failure_fits_into_4096_bytes(message: str, remedy: str, rank: int | None, cause: Cause) -> None:
    told = launcher._termination_message(Failure(cause=cause, message=message, remedy=remedy, rank=rank))
    assert len(told.to_json().encode()) <= 4096
    assert message.startswith(told.message)
    assert remedy.startswith(told.remedy)
    if len(message) <= 450:
        assert told.message == message


def test_the_end_of_the_parent_stops_a_stage_at_any_moment(arm_root: Path, tmp_path: Path) -> None:
    silent = {"artifactsUri": "s3://bucket/", "endpoint": "http://127.0.0.1:9", "retryWindow": 600}
    attempt = Attempt(arm_root, tmp_path, silent)
    program = (
        "import os, subprocess, sys\n"
        f"environment = os.environ | {{{PARENT_VARIABLE!r}: str(os.getpid())}}\n"
        "subprocess.run([sys.executable, '-P', '-m', 'paft_trainer', 'prepare', '--run-spec', sys.argv[1]], "
        "env=environment)"
    )
    environment = os.environ | {"AWS_ACCESS_KEY_ID": "some", "AWS_SECRET_ACCESS_KEY": "secret"}
    with subprocess.Popen([sys.executable, "-c", program, str(attempt.file)], env=environment) as parent:
        wait_for(attempt.report_path)
        parent.kill()
    wait_for(attempt.termination_path)
    assert attempt.termination == TerminationMessage(message="stopped", exit_code=EXIT_STOPPED)
    assert attempt.report.state is ReportState.STOPPED


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 200
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)

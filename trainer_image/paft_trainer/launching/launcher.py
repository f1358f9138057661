"""The container's entry point around every stage: signals in, exit code and termination message out.

prepare and merge run in this process. The ranks of an arm run under torchrun's elastic agent, started from a forkserver
that has imported everything once. torchrun itself exits with 1 for every failure and kills ranks 30 s after
SIGTERM; here a stop waits for the ranks' checkpoint, and the exit code tells the cause.
"""

import json
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import accumulate
from pathlib import Path
from types import FrameType

from paft_api.causes import CAUSE_FACTS, EXIT_STOPPED, EXIT_SUCCEEDED
from paft_api.report import Failure
from paft_api.run_spec import RunSpec, TerminationMessage
from paft_api.stages import StageName
from paft_trainer.config_map_reports import ConfigMapReportSink, pod_api_server
from paft_trainer.failures import classify
from paft_trainer.kernel_cache import keep_kernels_in
from paft_trainer.launching.parent_process import stop_with_parent
from paft_trainer.launching.rank_forkserver import start_importing
from paft_trainer.report_forwarder import ReportForwarder
from paft_trainer.reporting import FileReportSink, Reporter


class StopRequested(BaseException):
    """SIGTERM arrived while this process itself was working."""


def launch(stage: StageName, run_spec_path: Path) -> int:
    """Run one attempt of one stage; returns the exit code."""
    run_spec = RunSpec.model_validate_json(run_spec_path.read_text(encoding="utf-8"))
    assert run_spec.identity.stage is stage, f"{run_spec_path} is for {run_spec.identity.stage}, not {stage}"
    stop_with_parent()
    Path(run_spec.scratch_directory).mkdir(parents=True, exist_ok=True)
    with _forwarded_reports(run_spec):
        return _attempt(run_spec)


def _forwarded_reports(run_spec: RunSpec) -> AbstractContextManager[object]:
    """In a cluster one process sends the reports, in the pod that rank 0 reports in; all others only write files."""
    target = run_spec.report_config_map
    if target is None or os.environ.get("JOB_COMPLETION_INDEX", "0") != "0":
        return nullcontext()
    access_directory = Path(target.access_directory)
    sink = ConfigMapReportSink(
        namespace=run_spec.identity.job_namespace,
        name=target.name,
        token_file=access_directory / "token",
        connect=pod_api_server(access_directory),
    )
    return ReportForwarder(Path(run_spec.report_path), sink)


def _attempt(run_spec: RunSpec) -> int:
    reporter = Reporter(
        run_spec.identity, FileReportSink(Path(run_spec.report_path)), reached_step=run_spec.reached_step
    )
    try:
        with _stop_on_sigterm():
            stopped = not _run(run_spec, reporter)
    except StopRequested:
        stopped = True
    except Exception as error:  # noqa: BLE001 - every failure must end in a cause
        return _end_failed(run_spec, reporter, error)
    if stopped:
        reporter.stopped()
        return _leave(run_spec, TerminationMessage(exit_code=EXIT_STOPPED, message="stopped"))
    return _leave(run_spec, TerminationMessage(exit_code=EXIT_SUCCEEDED))


def _run(run_spec: RunSpec, reporter: Reporter) -> bool:
    """Run the stage; False where it was stopped. Stages import what they need only here, for a quick start."""
    match run_spec.identity.stage:
        case StageName.PREPARE:
            from paft_trainer import prepare

            reporter.succeeded(prepare.run(run_spec, reporter))
            return True
        case StageName.MERGE:
            keep_kernels_in(Path(run_spec.cache_directory))
            from paft_trainer import merge

            reporter.succeeded(merge.run(run_spec, reporter))
            return True
        case StageName.SFT | StageName.PREFERENCE:
            start_importing(run_spec)
            from paft_trainer.launching.arm_launcher import launch_arm

            return launch_arm(run_spec, reporter)


def _end_failed(run_spec: RunSpec, reporter: Reporter, error: Exception) -> int:
    from paft_trainer.launching.arm_launcher import RankFailed

    if isinstance(error, RankFailed):
        failure = error.failure
    else:
        traceback.print_exc()
        failure = classify(error)
    try:
        reporter.failed(failure)
    except OSError as full_disk:
        print(f"the report could not be written: {full_disk}", file=sys.stderr, flush=True)
    return _leave(run_spec, _termination_message(failure))


def _termination_message(failure: Failure) -> TerminationMessage:
    return TerminationMessage(
        cause=failure.cause,
        message=_cut(failure.message, characters=1500, encoded=2700),
        remedy=_cut(failure.remedy, characters=600, encoded=1100),
        rank=failure.rank,
        exit_code=CAUSE_FACTS[failure.cause].exit_code,
    )


def _cut(text: str, *, characters: int, encoded: int) -> str:
    """The beginning of a text, of at most so many characters and at most so many bytes as JSON."""
    sizes = accumulate(len(json.dumps(character, ensure_ascii=False).encode()) - 2 for character in text[:characters])
    return text[: sum(1 for size in sizes if size <= encoded)]


def _leave(run_spec: RunSpec, message: TerminationMessage) -> int:
    try:
        _write_termination(Path(run_spec.termination_path), message.to_json())
    except OSError as error:
        # The exit code tells the cause too.
        print(f"the termination message could not be written: {error}", file=sys.stderr, flush=True)
    if message.cause is not None:
        print(f"{message.cause}: {message.message}\n{message.remedy}", file=sys.stderr, flush=True)
    return message.exit_code


def _write_termination(path: Path, text: str) -> None:
    if path.exists():
        # A pod's /dev/termination-log is a mount of the kubelet's file: it can be written but not replaced.
        path.write_text(text, encoding="utf-8")
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


@contextmanager
def _stop_on_sigterm() -> Iterator[None]:
    def stop(signal_number: int, frame: FrameType | None) -> None:
        raise StopRequested

    previous = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)

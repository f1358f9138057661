"""Starts, signals and watches launchers; each is the leader of a session of its own.

A launcher that was started by an earlier `paft run` is known by its attempt's lock and by process.json.
"""

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from paft_api.run_spec import RunSpec
from paft_api.storage_survey import EndedAttempts
from paft_cli.errors import EXIT_FAILED, CommandError
from paft_cli.local.attempt_process import EXIT_NOT_STARTED, parent_of, start_time_of
from paft_cli.local.attempt_records import ExitRecord, ProcessRecord, StopRecord
from paft_cli.local.directories import AttemptDirectory, JobDirectory
from paft_cli.local.files import write_atomically

TRAINER_COMMAND = (sys.executable, "-P", "-m", "paft_trainer")
"""The launcher; `STAGE --run-spec FILE` is appended. -P: modules in the current directory are not the trainer's."""

PARENT_VARIABLE = "PAFT_PARENT_PID"
"""A launcher stops itself (SIGTERM) when this process is gone."""


class Launchers:
    """The launchers of one job. `environment` is the whole environment of those that it starts."""

    def __init__(self, environment: Mapping[str, str], trainer_command: Sequence[str] = TRAINER_COMMAND) -> None:
        self._environment = {**environment, PARENT_VARIABLE: str(os.getpid()), "PYTHONUNBUFFERED": "1"}
        self._trainer_command = tuple(trainer_command)
        self._children: dict[Path, subprocess.Popen[bytes]] = {}

    def start(self, directory: AttemptDirectory) -> None:
        """Start the launcher of an attempt whose run_spec.json is written; nothing where it is running or has run."""
        if self.is_running(directory) or directory.process_file.exists():
            return
        begin = (sys.executable, "-P", "-m", "paft_cli.local.attempt_process", str(directory.path))
        stage = (directory.stage.value, "--run-spec", str(directory.run_spec_file))
        with directory.log_file.open("ab") as log:
            # From the main thread: Linux sends the parent-death signal when the *thread* that started a child ends.
            self._children[directory.path] = subprocess.Popen(
                (*begin, *self._trainer_command, *stage),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
            )

    def is_running(self, directory: AttemptDirectory) -> bool:
        """Whether the launcher lives, whoever started it. Writes exit.json when it sees the end."""
        child = self._children.get(directory.path)
        if child is not None:
            if not _has_ended(child):
                return True
            self._reap(directory, child)
        elif _is_locked(directory.lock_file):
            return True
        elif directory.process_file.exists() and not directory.exit_file.exists():
            _write_exit(directory, code=None, signal_number=None, watched=False)
        return False

    def is_orphan(self, directory: AttemptDirectory) -> bool:
        """Whether the `paft run` that started a running launcher is gone, so that it is stopping."""
        record = process_record(directory)
        return record is not None and parent_of(record.pid) != record.parent_pid

    def stop(self, directory: AttemptDirectory, reason: str) -> None:
        """Ask the launcher to save and end; nothing where it has not written down yet who it is."""
        if directory.stop_file.exists():
            return
        if _send(directory, signal.SIGTERM):
            record = StopRecord(reason=reason, requested_at=datetime.now(UTC))
            write_atomically(directory.stop_file, record.to_json())

    def kill(self, directory: AttemptDirectory) -> None:
        """End the launcher at once; its ranks end with it."""
        _send(directory, signal.SIGKILL)

    def _reap(self, directory: AttemptDirectory, child: subprocess.Popen[bytes]) -> None:
        del self._children[directory.path]
        # The unreaped child keeps its id from being given away, so this group can only be its own.
        os.killpg(child.pid, signal.SIGKILL)
        code = child.wait()
        record = process_record(directory)
        if record is not None and record.pid == child.pid:
            _write_exit(
                directory,
                code=code if code >= 0 else None,
                signal_number=-code if code < 0 else None,
                watched=True,
            )
        elif code > 0 and code != EXIT_NOT_STARTED:
            raise CommandError(
                f"attempt {directory.attempt} of {directory.stage} could not be started (exit code {code}); "
                f"see {directory.log_file}",
                exit_code=EXIT_FAILED,
            )


def process_record(directory: AttemptDirectory) -> ProcessRecord | None:
    """Which process the attempt's launcher is or was; None before it started."""
    if not directory.process_file.exists():
        return None
    return ProcessRecord.model_validate_json(directory.process_file.read_text(encoding="utf-8"))


def _has_ended(child: subprocess.Popen[bytes]) -> bool:
    return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def ended_attempts(job: JobDirectory) -> Iterator[EndedAttempts]:
    """Attempts of a job that had a launcher here which lives no more. Writes nothing."""
    for directory in job.attempts():
        if directory.process_file.exists() and not _is_locked(directory.lock_file):
            told = RunSpec.model_validate_json(directory.run_spec_file.read_text(encoding="utf-8"))
            yield EndedAttempts(
                job_uid=told.identity.job_uid,
                stage=directory.stage,
                attempt=directory.attempt,
                why="its process on this machine has ended",
            )


def _is_locked(path: Path) -> bool:
    if not path.exists():
        return False
    with path.open("r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _write_exit(directory: AttemptDirectory, *, code: int | None, signal_number: int | None, watched: bool) -> None:
    record = ExitRecord(code=code, signal=signal_number, watched=watched, finished_at=datetime.now(UTC))
    write_atomically(directory.exit_file, record.to_json())


def _send(directory: AttemptDirectory, number: signal.Signals) -> bool:
    """Send a signal to exactly the process that was written down; False where there is none such (any more)."""
    record = process_record(directory)
    if record is None:
        return False
    try:
        descriptor = os.pidfd_open(record.pid)
    except ProcessLookupError:
        return False
    try:
        if start_time_of(record.pid) != record.start_time:
            return False
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True

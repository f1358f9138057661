"""A control plane in the background: one supervising process holds it, and everything ends with that process.

The supervisor locks a file in its directory for as long as it lives. So who finds the lock free knows that nothing
runs there, whatever became of the process that was started, and a process id that was recorded there is the right one.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

from hack.control_plane.control_plane import ControlPlane, Settings, running
from hack.control_plane.errors import ControlPlaneError, ProcessFailed
from hack.control_plane.programs import find_or_build

ROOT = Path(__file__).parents[2]
START_SECONDS = 300.0
LOCK_SECONDS = 1.0
STOP_SECONDS = 10.0
"""Time that a supervisor has to end after SIGTERM, before SIGKILL."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """What a supervisor tells of its control plane. `processes`: ids by program name."""

    supervisor: int
    server: str
    kubeconfig: str
    audit_log: str | None
    processes: dict[str, int]


def start(settings: Settings) -> Record:
    """Start a control plane that outlives this process, or find the one that runs in the directory."""
    record = find(settings.directory)
    if record is not None:
        return record
    # Here and not in the supervisor, so that whoever waits sees that something is built.
    find_or_build(["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl"])
    settings.directory.mkdir(parents=True, exist_ok=True)
    log = settings.directory / "supervisor.log"
    options = [name for name, is_on in (("--scheduler", settings.scheduler), ("--audit", settings.audit)) if is_on]
    command = [
        sys.executable,
        "-m",
        "hack.control_plane",
        "supervise",
        "--directory",
        str(settings.directory),
        *options,
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    deadline = time.monotonic() + START_SECONDS
    while (record := find(settings.directory)) is None or record.supervisor != process.pid:
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise ProcessFailed(f"no control plane was started; {log} says:\n{log.read_text(encoding='utf-8')}")
        time.sleep(0.1)
    return record


def find(directory: Path) -> Record | None:
    """The control plane that runs in a directory and is ready."""
    path = _record_path(directory)
    if not path.is_file() or not _is_locked(directory):
        return None
    return Record(**json.loads(path.read_text(encoding="utf-8")))


def stop(directory: Path) -> bool:
    """End the control plane that runs in a directory; False where there is none."""
    record = find(directory)
    if record is None:
        return False
    os.kill(record.supervisor, signal.SIGTERM)
    if not _ends(directory):
        os.kill(record.supervisor, signal.SIGKILL)
        _ends(directory)
    return True


def supervise(settings: Settings) -> None:
    """Hold a control plane until SIGTERM, SIGINT or the end of one of its programs."""
    stopping: list[int] = []

    def stop_soon(number: int, _: FrameType | None) -> None:
        stopping.append(number)

    with _lock(settings.directory):
        _record_path(settings.directory).unlink(missing_ok=True)
        with running(settings) as control_plane:
            signal.signal(signal.SIGTERM, stop_soon)
            signal.signal(signal.SIGINT, stop_soon)
            _write_record(settings, control_plane)
            while not stopping:
                _check(control_plane)
                time.sleep(0.2)
        _record_path(settings.directory).unlink()


@contextmanager
def _lock(directory: Path) -> Iterator[None]:
    deadline = time.monotonic() + LOCK_SECONDS
    with (directory / "lock").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                # Somebody who only looks holds it for an instant.
                if time.monotonic() > deadline:
                    raise ControlPlaneError(f"a control plane runs or starts in {directory} already") from None
                time.sleep(0.02)
            else:
                yield
                return


def _check(control_plane: ControlPlane) -> None:
    for process in control_plane.processes.values():
        if not process.is_running:
            raise ProcessFailed(f"{process.name} ended by itself; its log is {process.log}")


def _write_record(settings: Settings, control_plane: ControlPlane) -> None:
    record = Record(
        supervisor=os.getpid(),
        server=control_plane.server,
        kubeconfig=str(control_plane.kubeconfig),
        audit_log=str(control_plane.audit_log) if settings.audit else None,
        processes={name: process.pid for name, process in control_plane.processes.items()},
    )
    path = _record_path(settings.directory)
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(asdict(record), indent=2), encoding="utf-8")
    unfinished.replace(path)


def _record_path(directory: Path) -> Path:
    return directory / "control-plane.json"


def _ends(directory: Path) -> bool:
    deadline = time.monotonic() + STOP_SECONDS
    while _is_locked(directory):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _is_locked(directory: Path) -> bool:
    path = directory / "lock"
    if not path.exists():
        return False
    with path.open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False

"""One program that runs as long as this process lives, and no longer."""

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from hack.control_plane.errors import ProcessFailed

GO_GARBAGE_PERCENT = "400"
"""GOGC. With Go's own 100, collecting garbage takes a fifth of two cores under load; memory is not short here."""

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
"""Loaded before any fork: a forked child may not load libraries safely."""


class Process:
    """A program with a log of its own.

    Linux kills it when the thread that started it ends, so it has to be started from a thread that stays: even SIGKILL
    to this process leaves nothing behind.
    """

    def __init__(self, name: str, command: list[str], *, log: Path) -> None:
        self.name = name
        self.log = log
        self.command = command
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def resident_bytes(self) -> int:
        """Its resident memory."""
        return resident_bytes(self.pid)

    def start(self) -> None:
        """Start it, with a new session so that Ctrl-C reaches this process alone."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"GOGC": GO_GARBAGE_PERCENT} | os.environ,
                start_new_session=True,
                preexec_fn=dying_with_this_process(),
            )

    def stop(self, *, grace_seconds: float) -> None:
        """End it with SIGTERM, and with SIGKILL after `grace_seconds`; nothing where it does not run."""
        if self._process is None:
            return
        if self.is_running and grace_seconds > 0:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=grace_seconds)
        self._process.kill()
        self._process.wait()

    def wait_until(self, is_ready: Callable[[], bool], *, seconds: float) -> None:
        """Ask until the answer is yes; an error with the end of the log where it ends first or takes too long."""
        deadline = time.monotonic() + seconds
        while not is_ready():
            if not self.is_running:
                assert self._process is not None
                raise ProcessFailed(f"{self.name} ended with exit code {self._process.poll()}; {self._end_of_log()}")
            if time.monotonic() > deadline:
                raise ProcessFailed(f"{self.name} was not ready within {seconds:.0f} s; {self._end_of_log()}")
            time.sleep(0.05)

    def _end_of_log(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:]
        return "\n".join([f"the end of {self.log}:", *lines])


def resident_bytes(pid: int) -> int:
    """Resident memory of any process."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def dying_with_this_process() -> Callable[[], None]:
    """A `preexec_fn` of a child that Linux kills when the thread that started it ends."""
    parent = os.getpid()

    def prepare() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        # It may have died before the call above: then nobody is left to hear of the result.
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)

    return prepare

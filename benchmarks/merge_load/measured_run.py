"""One program in a fresh process, and what it and its descendants cost."""

import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import ROOT, MeasuringFailed
from hack.control_plane.processes import dying_with_this_process

SAMPLE_MILLISECONDS = 20


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Seconds and bytes. `cpu_seconds`: user and system. `read` and `written`: what went through system calls on files
    and pipes, from the page cache or not; sockets are not counted."""

    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    read: int
    written: int


def run_measured(command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> Cost:
    """Run to the end. Raises MeasuringFailed with the end of the log where it fails.

    `environment`: beside what this process has. The peak is the sum over the processes that live at one moment of
    their own peaks (VmHWM), looked at every 20 ms: exact for one process but for its last 20 ms. getrusage would keep
    the peak of the process that forked it.
    """
    packages = os.pathsep.join(str(ROOT / folder) for folder in ("", "crds", "operator", "trainer_image"))
    with log.open("wb") as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            env={**os.environ, "PYTHONPATH": packages, **(environment or {})},
            cwd=log.parent,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            preexec_fn=dying_with_this_process(),
        )
        try:
            peak = _watch(process.pid)
            wall_seconds = time.perf_counter() - started
            # It has ended but is not reaped, and still tells its counts, in which those of its children are.
            counts = dict(line.split(": ") for line in Path(f"/proc/{process.pid}/io").read_text().splitlines())
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        except BaseException:
            process.kill()
            process.wait()
            raise
    if process.returncode != 0:
        ending = "".join(log.read_text(errors="replace").splitlines(keepends=True)[-30:])
        raise MeasuringFailed(f"{' '.join(command)} ended with {process.returncode}:\n{ending}")
    return Cost(
        wall_seconds=wall_seconds,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        peak_bytes=peak,
        read=int(counts["rchar"]),
        written=int(counts["wchar"]),
    )


def python_module(module: str, *arguments: str) -> list[str]:
    """The command of a module of this Python."""
    return [sys.executable, "-P", "-m", module, *arguments]


def _watch(pid: int) -> int:
    """Wait for the end without reaping; returns the peak in bytes."""
    peak = 0
    ended = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(ended, select.POLLIN)
        while not poll.poll(SAMPLE_MILLISECONDS):
            peak = max(peak, sum(_peak_bytes(one) for one in _tree(pid)))
    finally:
        os.close(ended)
    return peak


def _tree(pid: int) -> list[int]:
    """A process and its descendants, as far as they still live."""
    found = [pid]
    for parent in found:
        with suppress(FileNotFoundError, ProcessLookupError):
            for thread in os.listdir(f"/proc/{parent}/task"):
                children = Path(f"/proc/{parent}/task/{thread}/children").read_text()
                found += [int(child) for child in children.split()]
    return found


def _peak_bytes(pid: int) -> int:
    """0 for one that has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)

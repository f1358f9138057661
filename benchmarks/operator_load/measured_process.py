"""A process whose CPU time and memory are read, and which is an operator or its peer."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from hack.control_plane.processes import dying_with_this_process

ROOT = Path(__file__).parents[2]
STOP_SECONDS = 30.0


class ProcessStuck(Exception):
    """It ended, or did not get where it should."""


class MeasuredProcess:
    """A Python module as a process. `environment`: beside what this process has."""

    def __init__(self, module: str, arguments: Sequence[str], *, environment: Mapping[str, str], log: Path) -> None:
        packages = os.pathsep.join(str(ROOT / folder) for folder in ("", "crds", "operator"))
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                (sys.executable, "-P", "-m", module, *arguments),
                env={**os.environ, "PYTHONPATH": packages, **environment},
                stdout=output,
                stderr=output,
                preexec_fn=dying_with_this_process(),
            )
        self.started = time.perf_counter()

    def wait(self, seconds: float) -> None:
        """Until it ends by itself, well."""
        if self._process.wait(seconds) != 0:
            raise ProcessStuck(self._story("failed"))

    def stop(self) -> None:
        """SIGTERM, as a rollout does, and SIGKILL where that is not enough; nothing where it has ended."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def wait_for_log(self, pattern: str, seconds: float) -> re.Match[str]:
        """Until it has logged this."""
        deadline = time.perf_counter() + seconds
        while (found := re.search(pattern, self._log.read_text(encoding="utf-8"))) is None:
            self.require(time.perf_counter() < deadline)
            time.sleep(0.02)
        return found

    def require(self, is_in_time: bool) -> None:
        """Raise where it has ended, or takes too long."""
        if self._process.poll() is not None or not is_in_time:
            raise ProcessStuck(self._story("takes too long or has ended"))

    @property
    def cpu_seconds(self) -> float:
        """So far, of all its threads."""
        return cpu_seconds(self._process.pid)

    @property
    def resident_megabytes(self) -> float:
        """Now."""
        return self._memory("VmRSS")

    @property
    def peak_megabytes(self) -> float:
        """The most so far."""
        return self._memory("VmHWM")

    def _memory(self, name: str) -> float:
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii")
        found = re.search(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)
        if found is None:
            raise ProcessStuck(self._story("has ended"))
        return int(found[1]) * 1024 / 1e6

    def _story(self, what: str) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-10:]
        return "\n".join([f"{self._process.args!r} {what}; the end of its log:", *lines])


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far, of all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def read_endpoint(address: str) -> tuple[int, str]:
    """Status and text; 0 and why where nobody answers."""
    try:
        with urllib.request.urlopen(address, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)

"""The operator as a process of its own, as in a pod: `python -m paft_operator` with a kubeconfig."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parents[2]
READY_SECONDS = 60.0
TRAINER_IMAGE = "paft-trainer:0.1.0"


class OperatorProcess:
    """One operator. `settings`: fields of OperatorSettings; by default without election and with short pauses.

    `sources`: folder with the packages' folders.
    """

    def __init__(
        self,
        kubeconfig: Path,
        *,
        namespaces: Sequence[str],
        log_file: Path,
        election: bool = False,
        sources: Path = ROOT,
        **settings: object,
    ) -> None:
        chosen: dict[str, object] = {
            "trainer_image": TRAINER_IMAGE,
            "namespaces": ",".join(namespaces),
            "leader_election": str(election).lower(),
            "lease_namespace": namespaces[0],
            "listen_address": "127.0.0.1",
            "listen_port": 0,
            "first_retry_interval": 0.2,
            "progress_interval": 0.2,
        }
        variables = {f"PAFT_OPERATOR_{name.upper()}": str(value) for name, value in (chosen | settings).items()}
        packages = os.pathsep.join(str(sources / folder) for folder in ("crds", "operator"))
        self._environment = os.environ | variables | {"KUBECONFIG": str(kubeconfig), "PYTHONPATH": packages}
        self._log_file = log_file
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it may have been started before, and ended."""
        with self._log_file.open("ab") as log:
            self._log_begin = log.tell()
            self._process = subprocess.Popen(
                (sys.executable, "-P", "-m", "paft_operator"), env=self._environment, stdout=log, stderr=log
            )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.send(signal.SIGCONT)
            self.kill()

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process."""
        assert self._process is not None
        return self._process

    @property
    def log(self) -> list[dict[str, Any]]:
        """What it has logged since it was last started."""
        with self._log_file.open("rb") as file:
            file.seek(self._log_begin)
            return [json.loads(line) for line in file.read().splitlines() if line.startswith(b"{")]

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and wait."""
        self.process.kill()
        self.process.wait()

    def stop(self, seconds: float = 20.0) -> int:
        """SIGTERM, and wait; the exit code."""
        self.send(signal.SIGTERM)
        return self.process.wait(seconds)

    def wait_until_ready(self, seconds: float = READY_SECONDS) -> None:
        """Until /readyz says so; TimeoutError with what it says instead."""
        self._wait(lambda: self.get("/readyz")[0] == 200, seconds)

    def wait_until_leading(self, seconds: float = READY_SECONDS) -> None:
        """Until it has listed everything, which only a leader does."""
        self._wait(lambda: any(line["message"].startswith("all objects are listed") for line in self.log), seconds)

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of an endpoint; 0 and why where it does not answer."""
        told = [found[1] for line in self.log if (found := re.search(r"on 127\.0\.0\.1:(\d+)$", line["message"]))]
        if not told:
            return 0, "no endpoints yet"
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{told[-1]}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def _wait(self, is_met: Any, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not is_met():
            ended = self.process.poll()
            if ended is not None or time.monotonic() > deadline:
                raise TimeoutError(f"exit code {ended}, readyz {self.get('/readyz')}, log {self.log[-5:]}")
            time.sleep(0.05)

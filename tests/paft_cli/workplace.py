"""A folder with a job whose stages are played (stage_player.py)."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from paft_api.status import PaftJobStatus
from paft_cli.commands.run import run
from paft_cli.local.attempt_process import start_time_of
from paft_cli.local.directories import JobDirectory
from paft_cli.local.local_job import read_status

PLAYER_COMMAND = (sys.executable, str(Path(__file__).with_name("stage_player.py")))
_RUN = (
    "import sys; from pathlib import Path\n"
    "from paft_cli.commands.run import run; from paft_cli.errors import CommandError\n"
    "try: sys.exit(run(Path('job.yaml'), output='text', trainer_command=sys.argv[1:]))\n"
    "except CommandError as error: print(error, file=sys.stderr); sys.exit(error.exit_code)"
)


@dataclass(frozen=True, kw_only=True)
class Workplace:
    """The current directory of a test: job.yaml, its `.paft/` and the player's script folder."""

    path: Path

    @property
    def player(self) -> Path:
        """Scripts and records of the players."""
        return self.path / "player"

    @property
    def job(self) -> JobDirectory:
        """State of the job."""
        return JobDirectory(self.path / ".paft" / "jobs" / "played")

    @property
    def status(self) -> PaftJobStatus:
        """The last status."""
        status = read_status(self.job)
        assert status is not None
        return status

    def change(self, change: Callable[[dict[str, Any]], object]) -> None:
        """Edit job.yaml's spec."""
        document = yaml.safe_load((self.path / "job.yaml").read_text(encoding="utf-8"))
        change(document["spec"])
        (self.path / "job.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")

    def script(self, **texts: str) -> None:
        """Script the players: `sft_seconds="0.1"` writes sft.seconds."""
        for name, text in texts.items():
            (self.player / name.replace("_", ".")).write_text(text, encoding="utf-8")

    def run(self) -> int:
        """`paft run job.yaml` in this process; its exit code."""
        return run(Path("job.yaml"), output="text", trainer_command=PLAYER_COMMAND)

    def start_run(self) -> "subprocess.Popen[str]":
        """`paft run job.yaml` as a process."""
        return subprocess.Popen(
            [sys.executable, "-c", _RUN, *PLAYER_COMMAND],
            cwd=self.path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def starts(self) -> list[tuple[str, int, int]]:
        """Every start of a player, as stage, attempt and the step it continued from."""
        record = self.player / "started"
        lines = record.read_text(encoding="utf-8").splitlines() if record.exists() else []
        return [(stage, int(attempt), int(step)) for stage, attempt, step, *_ in map(str.split, lines)]

    def process_of(self, stage: str, attempt: int) -> int:
        """Process id of a player, once it plays."""
        wait_until(lambda: any(start[:2] == (stage, attempt) for start in self.starts()))
        lines = (self.player / "started").read_text(encoding="utf-8").splitlines()
        return next(int(words[3]) for words in map(str.split, lines) if words[:2] == [stage, str(attempt)])

    def wait_for_checkpoint(self, stage: str) -> None:
        """Until the stage has saved at least once."""
        wait_until(
            lambda: any(path.read_text() != "0" for path in self.path.glob(f"artifacts/{stage}/*/checkpoint.json"))
        )

    def overlaps(self) -> str:
        """Starts of a stage while another process still played it."""
        record = self.player / "overlaps"
        return record.read_text(encoding="utf-8") if record.exists() else ""


def wait_until(condition: Callable[[], bool], *, seconds: float = 20.0) -> None:
    """Look again and again; fails after so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    """Whether a process runs: a zombie does not."""
    return start_time_of(pid) is not None


def end(process: "subprocess.Popen[str]", number: signal.Signals) -> tuple[int, str, str]:
    """Send a signal and wait; returns the exit code, stdout and stderr."""
    os.kill(process.pid, number)
    stdout, stderr = process.communicate(timeout=30)
    return process.returncode, stdout, stderr

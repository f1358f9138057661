"""Starts the programs that are measured, each in a process of its own with a log."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class MeasuringFailed(Exception):
    """A run ended without figures."""


def run_python(arguments: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
    """Run this Python with `arguments` in the repository's root. Raises MeasuringFailed with the end of the log."""
    with log.open("w") as output:
        process = subprocess.run(
            [sys.executable, *arguments], cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    if process.returncode != 0:
        ending = "".join(log.read_text(errors="replace").splitlines(keepends=True)[-30:])
        raise MeasuringFailed(f"{' '.join(arguments)} ended with {process.returncode}:\n{ending}")

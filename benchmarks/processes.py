"""Starts the programs that are measured, each in a process of its own with a log."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_WRITE = "import sys; memory = bytearray(int(sys.argv[1])); memory[::4096] = b'x' * len(memory[::4096])"


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


def use_memory(size: int) -> None:
    """Write to `size` bytes of memory, or to most of what is free, in a process that ends with that.

    A virtual machine gets each page from its host when it first writes to it, which costs several times as much as all
    else of a transfer. What is measured first would pay for that, and what follows take over its pages.
    """
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGESIZE")
    subprocess.run([sys.executable, "-c", _WRITE, str(min(size, free * 3 // 4))], check=True)

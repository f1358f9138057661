"""The peak is this process's own."""

import subprocess
import sys

from paft_trainer.peak_memory import peak_memory_bytes

PROGRAM = "from paft_trainer.peak_memory import peak_memory_bytes; print(peak_memory_bytes())"


def test_it_rises_with_what_is_used_and_a_child_does_not_inherit_it() -> None:
    ballast = bytearray(200_000_000)
    assert peak_memory_bytes() > len(ballast)
    child = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True)
    assert 1_000_000 < int(child.stdout) < 150_000_000

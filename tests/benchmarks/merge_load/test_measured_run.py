"""What a program costs: its own CPU time, memory and bytes, and those of the processes it starts."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from benchmarks.merge_load.measured_run import run_measured
from benchmarks.processes import MeasuringFailed

MEGABYTE = 1_000_000


def program(text: str) -> list[str]:
    return [sys.executable, "-c", text]


def in_a_child(text: str) -> list[str]:
    return program(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {text!r}], check=True)")


HOLD = "import time; held = b'x' * 150_000_000; time.sleep(0.2)"
BURN = "import time\nwhile time.process_time() < 0.5: pass"


@pytest.mark.parametrize("start", [program, in_a_child])
def test_memory_counts_wherever_it_is_held(tmp_path: Path, start: Callable[[str], list[str]]) -> None:
    cost = run_measured(start(HOLD), tmp_path / "log.txt")

    assert 150 * MEGABYTE < cost.peak_bytes < 230 * MEGABYTE


@pytest.mark.parametrize("start", [program, in_a_child])
def test_cpu_time_counts_and_waiting_does_not(tmp_path: Path, start: Callable[[str], list[str]]) -> None:
    burned = run_measured(start(BURN), tmp_path / "log.txt")
    slept = run_measured(start("import time; time.sleep(0.5)"), tmp_path / "log.txt")

    assert 0.5 < burned.cpu_seconds < 0.9
    assert slept.cpu_seconds < 0.3
    assert slept.wall_seconds > 0.5


@pytest.mark.parametrize("start", [program, in_a_child])
def test_bytes_through_files_count(tmp_path: Path, start: Callable[[str], list[str]]) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(bytes(20 * MEGABYTE))
    nothing = run_measured(start("from pathlib import Path"), tmp_path / "log.txt")
    copied = run_measured(
        start(f"from pathlib import Path; Path({str(target)!r}).write_bytes(Path({str(source)!r}).read_bytes()[1:])"),
        tmp_path / "log.txt",
    )

    assert copied.read - nothing.read == pytest.approx(20 * MEGABYTE, rel=0.02)
    assert copied.written - nothing.written == pytest.approx(20 * MEGABYTE - 1, rel=0.02)


def test_a_program_that_fails_tells_the_end_of_its_log(tmp_path: Path) -> None:
    with pytest.raises(MeasuringFailed, match=r"(?s)ended with 3:.*no such recipe"):
        run_measured(program("import sys; print('no such recipe', file=sys.stderr); sys.exit(3)"), tmp_path / "log.txt")


def test_a_program_sees_the_environment_it_is_given(tmp_path: Path) -> None:
    run_measured(program("import os; print(os.environ['GIVEN'])"), tmp_path / "log.txt", {"GIVEN": "credentials"})

    assert (tmp_path / "log.txt").read_text() == "credentials\n"


def test_wall_time_ends_with_the_program_and_not_with_a_look_at_it(tmp_path: Path) -> None:
    started = time.perf_counter()
    cost = run_measured(program("pass"), tmp_path / "log.txt")

    assert 0 < cost.wall_seconds < time.perf_counter() - started

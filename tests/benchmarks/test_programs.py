"""Benchmarks run as files, from anywhere: `operator.py` beside them must not hide the standard library's module."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("l1.py", marks=pytest.mark.slow),
        "operator.py",
        "merge.py",
        "merge_errors.py",
        "storage.py",
        "load.py",
        pytest.param("train.py", marks=pytest.mark.slow),
        pytest.param("estimate.py", marks=pytest.mark.slow),
    ],
)
def test_a_benchmark_says_what_it_measures(name: str, tmp_path: Path) -> None:
    command = (sys.executable, str(BENCHMARKS / name), "--help")
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert (ended.returncode, ended.stderr) == (0, "")
    assert "--json FILE" in ended.stdout

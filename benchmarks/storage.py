"""How fast objects go to and from an S3 server, by the trainer's engine and by what it was chosen from.

    python benchmarks/storage.py [--quick] [--json FILE]

One file of random bytes goes up to and comes down from a real S3 server (SeaweedFS) on loopback: by the trainer's own
engine, boto3's transfer manager, the same over the AWS Common Runtime, obstore, boto3 in two processes, and s5cmd as
the peer. Every transfer runs in a fresh process, the clients in another order each time, and what arrived is compared.
The server takes part of the same cores. 1 GB three times, then 4 GB once for the growth of memory; `--quick` takes 256
MB once. A goal that is missed is shown as missed; the exit code is 1 only where measuring failed.
"""

import sys

# So that it runs as a file, too; its neighbour would then be found in place of the standard library's `operator`.
sys.path.insert(0, sys.path.pop(0).removesuffix("/benchmarks"))

import argparse
import os
import signal
import tempfile
from pathlib import Path

from benchmarks.measurements import Measurement, open_console, tell_goals
from benchmarks.merge_load.machine import describe_disk, describe_processor
from benchmarks.processes import ROOT, MeasuringFailed, use_memory
from benchmarks.storage_load.clients import CLIENTS, MIB
from benchmarks.storage_load.measuring import S5CMD, Bench, measure
from benchmarks.storage_load.results import OURS, growth_goals, transfer_measurements, transfer_table
from hack import seaweedfs

STATE = ROOT / ".paft" / "benchmarks" / "storage"
FULL_BYTES, QUICK_BYTES, LARGE_BYTES = 1000 * 10**6, 256 * 10**6, 4000 * 10**6
FULL_RUNS, QUICK_RUNS = 3, 1
MEMORY_BYTES = 8 * 10**9


def main() -> int:
    """Measure, print tables, write JSON."""
    arguments = _parse()
    # Whoever stops a run must not be left with a server and gigabytes.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))
    STATE.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix="run-", dir=STATE) as folder:
            measured = measure_all(Path(folder), is_quick=arguments.quick)
    except MeasuringFailed as error:
        print(error, file=sys.stderr)
        return 1
    tell_goals(measured, arguments.json)
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="256 MB, every transfer once")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure and goal to FILE")
    return parser.parse_args()


def measure_all(folder: Path, *, is_quick: bool) -> list[Measurement]:
    """All tables, and all figures and goals."""
    size, runs = (QUICK_BYTES, QUICK_RUNS) if is_quick else (FULL_BYTES, FULL_RUNS)
    use_memory(MEMORY_BYTES)
    with seaweedfs.running(folder / "s3") as server:
        bench = Bench(server, make_source(folder / "source", size), folder)
        rows = measure(bench, [*CLIENTS, S5CMD], size, runs)
        open_console().print(transfer_table(rows, conditions(runs)))
        measured = transfer_measurements(rows)
        if not is_quick:
            bench = Bench(server, make_source(folder / "source", LARGE_BYTES), folder)
            measured += growth_goals(measure(bench, [OURS], LARGE_BYTES, 1))
    return measured


def make_source(path: Path, size: int) -> Path:
    """A file of random bytes."""
    with path.open("wb") as file:
        for start in range(0, size, MIB):
            file.write(os.urandom(min(MIB, size - start)))
    return path


def conditions(runs: int) -> str:
    """Where this was measured, in words."""
    machine = f"{os.cpu_count()} × {describe_processor()}, {describe_disk(STATE)}"
    return f"{machine}; SeaweedFS on the same cores; medians of {runs}"


if __name__ == "__main__":
    sys.exit(main())

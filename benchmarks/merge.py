"""What a merge costs and how fast it is, against a copy of the base, mergekit and PEFT.

    python benchmarks/merge.py [--quick] [--size SIZE] [--without-tools] [--json FILE]

A random Llama and two adapters of rank 16 are merged file to file and, through a real S3 server on loopback, S3 to S3.
Every program runs in a fresh process. The floor in the same run is a copy of the base with SHA-256; mergekit 0.1.5 and
PEFT merge the same adapters. `--quick` takes 0.3 B parameters, every program once, and of the tools mergekit's TIES. A
goal that is missed is shown as missed; the exit code is 1 only where measuring failed.
"""

import sys

# So that it runs as a file, too; its neighbour would then be found in place of the standard library's `operator`.
sys.path.insert(0, sys.path.pop(0).removesuffix("/benchmarks"))

import argparse
import os
import shutil
import signal
import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks.measurements import Measurement, open_console, tell_goals
from benchmarks.merge_load.machine import describe_disk, describe_processor
from benchmarks.merge_load.measured_run import Cost, python_module, run_measured
from benchmarks.merge_load.measuring import (
    count_bytes,
    measure_copy,
    measure_merge,
    measure_mergekit,
    measure_peft,
    measure_uncompiled,
)
from benchmarks.merge_load.ours import OTHERS, SWEEP, TIES, WITH_GOALS
from benchmarks.merge_load.peers import MergekitCache
from benchmarks.merge_load.places import Place, file_place, s3_place
from benchmarks.merge_load.results import (
    MERGEKIT_COLD,
    Results,
    Row,
    byte_goals,
    conditions,
    growth_goals,
    measurements_of,
    memory_goals,
    mergekit_goal,
    results_table,
    speed_goals,
)
from benchmarks.merge_load.shapes import SIZES
from benchmarks.processes import ROOT, MeasuringFailed

STATE = ROOT / ".paft" / "benchmarks" / "merge"
FULL_SIZE, QUICK_SIZE = "1.1b", "0.3b"
FULL_RUNS, QUICK_RUNS = 3, 1
START_UP = "start-up"
CHECKPOINTS_ON_DISK = 2 + SWEEP.checkpoints
"""At most: the base, its copy in S3, and all of a sweep."""


def main() -> int:
    """Measure, print tables, write JSON."""
    arguments = _parse()
    # Whoever stops a run that is this long must not be left with a server and many gigabytes.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))
    STATE.mkdir(parents=True, exist_ok=True)
    try:
        require_disk(arguments.size)
        with tempfile.TemporaryDirectory(prefix="run-", dir=STATE) as folder:
            measured = measure(Path(folder), arguments)
    except MeasuringFailed as error:
        print(error, file=sys.stderr)
        return 1
    tell_goals(measured, arguments.json)
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_SIZE} parameters, every program once")
    parser.add_argument("--size", choices=SIZES, help=f"parameters; default: {FULL_SIZE}")
    parser.add_argument("--without-tools", action="store_true", help="leave out mergekit and PEFT, which take minutes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure and goal to FILE")
    arguments = parser.parse_args()
    arguments.size = arguments.size or (QUICK_SIZE if arguments.quick else FULL_SIZE)
    return arguments


def require_disk(size: str) -> None:
    """Raises MeasuringFailed where checkpoints would not fit."""
    needed, free = CHECKPOINTS_ON_DISK * SIZES[size].weight_bytes, shutil.disk_usage(STATE).free
    if free < needed:
        raise MeasuringFailed(
            f"--size {size} needs {needed / 1e9:.0f} GB under {STATE}, which has {free / 1e9:.0f} GB: "
            f"{(needed - free) / 1e9:.0f} GB are missing; free them or choose a smaller size"
        )


def measure(folder: Path, arguments: argparse.Namespace) -> list[Measurement]:
    """All tables, and all figures and goals."""
    size, runs = arguments.size, QUICK_RUNS if arguments.quick else FULL_RUNS
    models, weight_bytes = models_of(size, folder), SIZES[size].weight_bytes
    starts = {row.program: row.cost for row in measure_starts(folder)}
    rows: list[Row] = []
    goals: list[Measurement] = []
    with file_place(models, folder) as files:
        rows += measure_place(files, folder, runs, starts)
        goals += byte_goals(TIES.name, files.name, count_bytes(TIES, files, folder, starts[TIES.name]), weight_bytes)
        rows.append(measure_uncompiled(TIES, files, folder, starts[TIES.name]))
        if not arguments.without_tools:
            rows += measure_tools(models, files, folder, is_quick=arguments.quick)
    with s3_place(models, folder / "s3") as s3:
        rows += measure_place(s3, folder, runs, starts)
        goals += byte_goals(TIES.name, s3.name, count_bytes(TIES, s3, folder, starts[TIES.name]), weight_bytes)
    results = Results(size=size, adapted_elements=SIZES[size].adapted_elements, rows=tuple(rows))
    footer = conditions(os.cpu_count() or 1, describe_processor(), describe_disk(STATE), starts[TIES.name])
    for place in (files, s3):
        open_console().print(results_table(results, place.name, footer))
    goals = speed_goals(results) + memory_goals(results) + goals
    if not arguments.without_tools:
        goals.append(mergekit_goal(results))
    if size != QUICK_SIZE:
        goals += growth_goals(results, measure_smaller(folder), QUICK_SIZE)
    return measurements_of(results) + goals


def models_of(size: str, folder: Path) -> Path:
    """Base and adapters, made in a process of its own: a large one's children would count its memory as theirs."""
    print(f"{size}: base and adapters", flush=True)
    log = folder / f"models-{size}.txt"
    run_measured(python_module("benchmarks.merge_load.models", size, str(STATE)), log)
    return Path(log.read_text().strip())


def measure_starts(folder: Path) -> list[Row]:
    """Every merge on next to nothing, after one that nobody counts."""
    with file_place(models_of(START_UP, folder), folder / START_UP) as place:
        measure_merge(TIES, place, folder, 1)
        return [measure_merge(merge, place, folder, 1) for merge in (*WITH_GOALS, *OTHERS, SWEEP)]


def measure_place(place: Place, folder: Path, runs: int, starts: dict[str, Cost]) -> list[Row]:
    """The copy and every merge. The first one, of a base that nobody has read before, has a row of its own."""
    first = measure_merge(TIES, place, folder, 1, starts[TIES.name])
    return [
        measure_copy(place, folder, runs),
        replace(first, program=f"{TIES.name}, base not known yet"),
        *(measure_merge(merge, place, folder, runs, starts[merge.name]) for merge in (*WITH_GOALS, *OTHERS)),
        measure_merge(SWEEP, place, folder, 1, starts[SWEEP.name]),
    ]


def measure_tools(models: Path, place: Place, folder: Path, *, is_quick: bool) -> list[Row]:
    """mergekit and PEFT, once each, as they take minutes."""
    cache = MergekitCache(folder=folder / "mergekit-ties")
    rows = [measure_mergekit(MERGEKIT_COLD, models, "ties", cache, place, folder)]
    if not is_quick:
        rows.append(measure_mergekit("mergekit, ties, adapters materialised", models, "ties", cache, place, folder))
        rows.append(measure_mergekit("mergekit, linear, adapters materialised", models, "linear", cache, place, folder))
    shutil.rmtree(cache.folder)
    if is_quick:
        return rows
    cold = MergekitCache(folder=folder / "mergekit-linear")
    rows.append(measure_mergekit("mergekit, linear, cold", models, "linear", cold, place, folder))
    shutil.rmtree(cold.folder)
    return [*rows, *(measure_peft(f"PEFT, {name}", models, name, place, folder) for name in ("ties", "linear"))]


def measure_smaller(folder: Path) -> dict[str, Cost]:
    """Merges of the small size, whose peak memory the large one's must not exceed."""
    with file_place(models_of(QUICK_SIZE, folder), folder / QUICK_SIZE) as place:
        return {merge.name: measure_merge(merge, place, folder, 1).cost for merge in WITH_GOALS}


if __name__ == "__main__":
    sys.exit(main())

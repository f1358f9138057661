"""What the operator costs and how fast it is: latency, writes, requests, CPU, memory, restart.

    python benchmarks/operator.py [--quick] [--large] [--jobs N] [--json FILE]

Against a real API server and etcd, with 1,000 PaftJobs in phase Training, and with `--large` with 5,000, too. A driver
in a process of its own plays the kubelet, the trainers and the Job controller: it changes 50 children per second. The
peer in the same run and under the same load is the least that a kopf operator can do. A goal that is missed is shown as
missed; the exit code is 1 only where measuring failed.
"""

import sys

# So that it runs as a file, too; this file would then be found in place of the standard library's `operator`.
sys.path.insert(0, sys.path.pop(0).removesuffix("/benchmarks"))

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measurements import Measurement, open_console, tell_goals
from benchmarks.operator_load.cluster import ROOT, Cluster, populated_cluster
from benchmarks.operator_load.measured_process import ProcessStuck
from benchmarks.operator_load.measuring import (
    OPERATOR,
    PEER,
    Load,
    first_change,
    measure_restart,
    start_operator,
    start_peer,
    under_load,
    wait_for_quiet,
    writes_while_idle,
)
from benchmarks.operator_load.results import (
    LoadRun,
    goals_at_rest,
    goals_under_load,
    load_table,
    measurements_of,
    ratios,
)
from hack.control_plane import ControlPlaneError

STATE = ROOT / ".paft" / "benchmarks"
RATE = 50.0
JOBS, QUICK_JOBS, LARGE_JOBS = 1000, 300, 5000


@dataclass(frozen=True, kw_only=True)
class Durations:
    """Seconds. `reports`: of the load that the peer gets, too. `mixed`: of the load in which stages end."""

    reports: float
    mixed: float
    idle: float


FULL = Durations(reports=30.0, mixed=60.0, idle=300.0)
QUICK = Durations(reports=15.0, mixed=30.0, idle=20.0)


def main() -> int:
    """Measure, print tables, write JSON."""
    arguments = _parse()
    sizes = [arguments.jobs, LARGE_JOBS] if arguments.large else [arguments.jobs]
    STATE.mkdir(parents=True, exist_ok=True)
    measured: list[Measurement] = []
    try:
        for jobs in sizes:
            with tempfile.TemporaryDirectory(prefix="operator-", dir=STATE) as folder:
                measured += measure(Path(folder), jobs, QUICK if arguments.quick else FULL)
    except (ControlPlaneError, ProcessStuck) as error:
        print(error, file=sys.stderr)
        return 1
    tell_goals(measured, arguments.json)
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_JOBS} PaftJobs and shorter times")
    parser.add_argument("--large", action="store_true", help=f"{LARGE_JOBS} PaftJobs, too")
    parser.add_argument("--jobs", type=int, metavar="N", help=f"default: {JOBS}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure and goal to FILE")
    arguments = parser.parse_args()
    arguments.jobs = arguments.jobs or (QUICK_JOBS if arguments.quick else JOBS)
    return arguments


def measure(folder: Path, jobs: int, durations: Durations) -> list[Measurement]:
    """All figures for one number of PaftJobs."""
    # More often than every 5.5 seconds a report is not written to status, by design.
    rate = min(RATE, jobs / 6.0)
    reports = Load(rate=rate, seconds=durations.reports, has_endings=False)
    mixed = Load(rate=rate, seconds=durations.mixed, has_endings=True)
    with populated_cluster(folder, jobs=jobs) as cluster:
        peer = measure_peer(cluster, reports)
        ours, full, idle_writes = measure_operator(cluster, reports, mixed, durations.idle)
        restart = measure_restart(cluster)
    open_console().print(load_table([peer, ours, full], title=f"{jobs} PaftJobs"))
    return [
        *(measurement for run in (peer, ours, full) for measurement in measurements_of(run, jobs=jobs)),
        *ratios(ours, peer, jobs=jobs),
        *goals_under_load(full, jobs=jobs),
        *goals_at_rest(jobs=jobs, idle_seconds=durations.idle, idle_writes=idle_writes, restart=restart),
    ]


def measure_peer(cluster: Cluster, load: Load) -> LoadRun:
    """The least that kopf can do."""
    process = start_peer(cluster)
    try:
        return under_load("bare kopf, reports only", process, PEER, cluster, load)
    finally:
        process.stop()


def measure_operator(cluster: Cluster, reports: Load, mixed: Load, idle_seconds: float) -> tuple[LoadRun, LoadRun, int]:
    """Under the peer's load, under one in which stages end, and without any."""
    operator, seconds = start_operator(cluster)
    print(f"the operator has observed them after {seconds:.1f} s, for the first time", flush=True)
    try:
        first_change(cluster)
        wait_for_quiet(cluster, OPERATOR)
        ours = under_load("operator, reports only", operator.process, OPERATOR, cluster, reports)
        full = under_load("operator", operator.process, OPERATOR, cluster, mixed)
        wait_for_quiet(cluster, OPERATOR)
        return ours, full, writes_while_idle(cluster, idle_seconds)
    finally:
        operator.process.stop()


if __name__ == "__main__":
    sys.exit(main())

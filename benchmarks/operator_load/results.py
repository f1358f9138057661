"""The figures of the operator benchmark: a table of what was measured, and the goals. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.measurements import Measurement, at_most, exactly, figure
from benchmarks.operator_load.outcome import Outcome
from benchmarks.operator_load.request_counts import Request, new_children, total, writes
from rich.table import Table


@dataclass(frozen=True, kw_only=True)
class Goals:
    """Of one number of PaftJobs. Seconds and megabytes."""

    p99: float
    resident_megabytes: float
    restart: float


GOALS = {
    1000: Goals(p99=0.5, resident_megabytes=130, restart=5.0),
    5000: Goals(p99=1.0, resident_megabytes=300, restart=20.0),
}
WRITES_PER_TRANSITION = 2


@dataclass(frozen=True, kw_only=True)
class LoadRun:
    """One process under one load: what the driver saw, what the process asked the API server for, and what it cost.

    `server_cpu_seconds`: of API server and etcd. `resident_megabytes`: at the end; `peak_megabytes`: the most since its
    start. `load_average`: of the machine, over the last minute.
    """

    name: str
    outcome: Outcome
    requests: Mapping[Request, int]
    cpu_seconds: float
    server_cpu_seconds: float
    resident_megabytes: float
    peak_megabytes: float
    load_average: float

    @property
    def writes_per_transition(self) -> float:
        """Status writes and Events, without those for progress; NaN where nothing but progress happened."""
        counted = writes(self.requests) - new_children(self.requests) - self.outcome.progress_writes
        return counted / self.outcome.transitions if self.outcome.transitions else float("nan")

    @property
    def changes_per_second(self) -> float:
        """Of children."""
        return self.outcome.changes / self.outcome.seconds

    @property
    def requests_per_change(self) -> float:
        """Of the process, its Lease aside, for one change of a child."""
        return total(self.requests) / self.outcome.changes

    @property
    def requests_per_second(self) -> float:
        """Of the process, its Lease aside."""
        return total(self.requests) / self.outcome.seconds

    @property
    def cpu_milliseconds_per_change(self) -> float:
        """CPU time for one change of a child."""
        return 1000 * self.cpu_seconds / self.outcome.changes


@dataclass(frozen=True, kw_only=True)
class Restart:
    """From the start of a process until it has reconciled every PaftJob; its figures at that moment.

    `first_change`: seconds until a change that is made then shows in status.
    """

    seconds: float
    cpu_seconds: float
    writes: int
    peak_megabytes: float
    first_change: float
    load_average: float


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that `percent` of all do not exceed; NaN for none."""
    ordered = sorted(values)
    rank = -(-len(ordered) * percent // 100)
    return ordered[int(rank) - 1] if ordered else float("nan")


def load_table(runs: Sequence[LoadRun], *, title: str) -> Table:
    """One column per run."""
    table = Table(title=title)
    table.add_column("")
    for run in runs:
        table.add_column(run.name, justify="right")
    cells = [_cells(run) for run in runs]
    for label in cells[0]:
        table.add_row(label, *(one[label] for one in cells))
    return table


def _cells(run: LoadRun) -> dict[str, str]:
    seen = run.outcome
    return {
        "changes per second, for seconds": f"{run.changes_per_second:.1f}, {seen.seconds:.0f}",
        "changes not made / never shown": f"{seen.held_back} / {seen.unseen}",
        "report to status: p50 / p99 / max, ms": _latencies(seen.reports),
        "end of a Job to status: p50 / p99 / max, ms": _latencies(seen.jobs),
        "the changes' own writes: p50 / p99 / max, ms": _latencies(seen.own_writes),
        "transitions / status writes for progress": f"{seen.transitions} / {seen.progress_writes}",
        "new objects / other writes": f"{(new := new_children(run.requests))} / {writes(run.requests) - new}",
        "writes per transition": f"{run.writes_per_transition:.2f}" if seen.transitions else "",
        "API requests per second / per change": f"{run.requests_per_second:.1f} / {run.requests_per_change:.2f}",
        "CPU seconds / ms per change": f"{run.cpu_seconds:.1f} / {run.cpu_milliseconds_per_change:.1f}",
        "CPU seconds of API server and etcd / of the driver": f"{run.server_cpu_seconds:.1f} / {seen.cpu_seconds:.1f}",
        "RSS / its peak, MB": f"{run.resident_megabytes:.0f} / {run.peak_megabytes:.0f}",
        "load average of the machine": f"{run.load_average:.1f}",
    }


def measurements_of(run: LoadRun, *, jobs: int) -> list[Measurement]:
    """Every figure of a run, without goals."""
    name, seen = f"{jobs} PaftJobs, {run.name}", run.outcome
    return [
        figure(f"{name}: changes per second", run.changes_per_second, "1/s"),
        figure(f"{name}: changes that were not made", seen.held_back),
        figure(f"{name}: changes that never showed", seen.unseen),
        *_percentiles(f"{name}: report to status", seen.reports),
        *(_percentiles(f"{name}: end of a Job to status", seen.jobs) if seen.jobs else ()),
        *_percentiles(f"{name}: the changes' own writes", seen.own_writes),
        figure(f"{name}: API requests per second", run.requests_per_second, "1/s"),
        figure(f"{name}: API requests per change", run.requests_per_change),
        figure(f"{name}: CPU", run.cpu_seconds, "s"),
        figure(f"{name}: CPU of API server and etcd", run.server_cpu_seconds, "s"),
        figure(f"{name}: RSS", run.resident_megabytes, "MB"),
        figure(f"{name}: peak of RSS", run.peak_megabytes, "MB"),
        figure(f"{name}: load average of the machine", run.load_average),
    ]


def _percentiles(name: str, values: Sequence[float]) -> list[Measurement]:
    return [figure(f"{name}, p{percent}", percentile(values, percent), "s") for percent in (50, 99)]


def ratios(ours: LoadRun, peer: LoadRun, *, jobs: int) -> list[Measurement]:
    """The operator against the peer under the same load."""
    pairs = {
        "p50": (percentile(ours.outcome.reports, 50), percentile(peer.outcome.reports, 50)),
        "p99": (percentile(ours.outcome.reports, 99), percentile(peer.outcome.reports, 99)),
        "API requests per change": (ours.requests_per_change, peer.requests_per_change),
        "CPU per change": (ours.cpu_milliseconds_per_change, peer.cpu_milliseconds_per_change),
        "RSS": (ours.resident_megabytes, peer.resident_megabytes),
    }
    return [
        figure(f"{jobs} PaftJobs, reports only: {name}, operator over bare kopf", own / other)
        for name, (own, other) in pairs.items()
    ]


def goals_under_load(run: LoadRun, *, jobs: int) -> list[Measurement]:
    """What was promised of latency, writes and memory."""
    goals, name = _goals(jobs), f"{jobs} PaftJobs"
    return [
        at_most(f"{name}: report to status, p99", percentile(run.outcome.reports, 99), goals.p99, "s"),
        at_most(f"{name}: end of a Job to status, p99", percentile(run.outcome.jobs, 99), goals.p99, "s"),
        exactly(f"{name}: changes that never showed", run.outcome.unseen, 0),
        at_most(f"{name}: writes per transition", run.writes_per_transition, WRITES_PER_TRANSITION),
        at_most(f"{name}: RSS", run.resident_megabytes, goals.resident_megabytes, "MB"),
    ]


def goals_at_rest(*, jobs: int, idle_seconds: float, idle_writes: int, restart: Restart) -> list[Measurement]:
    """What was promised of an idle operator and of its restart, and what the restart took besides."""
    goals, name = _goals(jobs), f"{jobs} PaftJobs"
    return [
        exactly(f"{name}: writes over {idle_seconds:g} idle seconds", idle_writes, 0),
        at_most(f"{name}: restart until all are observed", restart.seconds, goals.restart, "s"),
        exactly(f"{name}: restart: writes", restart.writes, 0),
        figure(f"{name}: restart: CPU", restart.cpu_seconds, "s"),
        figure(f"{name}: restart: peak of RSS", restart.peak_megabytes, "MB"),
        figure(f"{name}: restart: until a change that is made then shows", restart.first_change, "s"),
        figure(f"{name}: restart: load average of the machine", restart.load_average),
    ]


def _goals(jobs: int) -> Goals:
    """Those of the next larger number."""
    return next((goals for count, goals in sorted(GOALS.items()) if jobs <= count), GOALS[max(GOALS)])


def _latencies(values: Sequence[float]) -> str:
    if not values:
        return ""
    return " / ".join(f"{1000 * value:.0f}" for value in (percentile(values, 50), percentile(values, 99), max(values)))

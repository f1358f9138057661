"""One process under load, at rest, and at its start."""

import os
import time
from dataclasses import dataclass

from benchmarks.operator_load import peer
from benchmarks.operator_load.changes import CHANGES_OF_ENDING
from benchmarks.operator_load.cluster import NAMESPACE, Cluster
from benchmarks.operator_load.measured_process import MeasuredProcess, ProcessStuck
from benchmarks.operator_load.operator_run import Operator
from benchmarks.operator_load.outcome import Outcome
from benchmarks.operator_load.request_counts import writes
from benchmarks.operator_load.results import LoadRun, Restart

OPERATOR = "paft-operator"
PEER = "bare-kopf"
SETTLE_SECONDS = 3.0
"""Time for Events that are still on their way."""
QUIET_SECONDS = 6.0
"""Longer than the pause between two writes of progress."""
START_SECONDS = 300.0
DRIVER_START_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True)
class Load:
    """Changes per second, for how many seconds. `has_endings`: whether stages end, too, or all changes are reports.

    `patience`: seconds after the last change for statuses that are late.
    """

    rate: float
    seconds: float
    has_endings: bool
    patience: float = 30.0

    @property
    def endings(self) -> int:
        """PaftJobs whose stages all end: a quarter of the changes are theirs."""
        return int(self.rate * self.seconds / 4 / CHANGES_OF_ENDING) if self.has_endings else 0


def start_operator(cluster: Cluster) -> tuple[Operator, float]:
    """An operator that has observed all PaftJobs; seconds that it took."""
    log = cluster.folder / f"operator-{time.time_ns()}.log"
    operator = Operator(cluster.kubeconfig(OPERATOR), jobs=cluster.jobs, log=log)
    try:
        return operator, operator.wait_until_all_are_observed()
    except BaseException:
        operator.process.stop()
        raise


def measure_restart(cluster: Cluster) -> Restart:
    """Start an operator where another one has ended, and stop it."""
    with cluster.requests_of(OPERATOR) as requests:
        operator, seconds = start_operator(cluster)
        try:
            cpu_seconds, peak_megabytes = operator.process.cpu_seconds, operator.process.peak_megabytes
            own_writes = writes(requests.new())
            return Restart(
                seconds=seconds,
                cpu_seconds=cpu_seconds,
                writes=own_writes,
                peak_megabytes=peak_megabytes,
                first_change=first_change(cluster),
                load_average=os.getloadavg()[0],
            )
        finally:
            operator.process.stop()


def first_change(cluster: Cluster) -> float:
    """Seconds until one change is seen: a young operator has everything listed before its watches are."""
    outcome = _drive(cluster, Load(rate=1.0, seconds=1.0, has_endings=False, patience=START_SECONDS))
    if not outcome.reports:
        raise ProcessStuck("the operator has never seen a change")
    return outcome.reports[0]


def start_peer(cluster: Cluster) -> MeasuredProcess:
    """The peer, watching."""
    environment = {"KUBECONFIG": str(cluster.kubeconfig(PEER))}
    process = MeasuredProcess(peer.__name__, (), environment=environment, log=cluster.folder / "peer.log")
    process.wait_for_log(peer.READY, START_SECONDS)
    return process


def under_load(name: str, process: MeasuredProcess, user: str, cluster: Cluster, load: Load) -> LoadRun:
    """What the driver, the audit log and the process itself tell."""
    with cluster.requests_of(user) as requests:
        cpu, server_cpu = process.cpu_seconds, cluster.cpu_seconds
        outcome = _drive(cluster, load)
        time.sleep(SETTLE_SECONDS)
        counts = requests.new()
    return LoadRun(
        name=name,
        outcome=outcome,
        requests=counts,
        cpu_seconds=process.cpu_seconds - cpu,
        server_cpu_seconds=cluster.cpu_seconds - server_cpu,
        resident_megabytes=process.resident_megabytes,
        peak_megabytes=process.peak_megabytes,
        load_average=os.getloadavg()[0],
    )


def _drive(cluster: Cluster, load: Load) -> Outcome:
    out = cluster.folder / "outcome.json"
    arguments = {
        "namespace": NAMESPACE,
        "rate": load.rate,
        "seconds": load.seconds,
        "ending": load.endings,
        "patience": load.patience,
        "out": out,
    }
    driver = MeasuredProcess(
        "benchmarks.operator_load.driver",
        [text for name, value in arguments.items() for text in (f"--{name}", str(value))],
        environment={},
        log=cluster.folder / "driver.log",
    )
    try:
        driver.wait(DRIVER_START_SECONDS + load.seconds + load.patience)
    finally:
        driver.stop()
    return Outcome.from_json(out.read_text(encoding="utf-8"))


def writes_while_idle(cluster: Cluster, seconds: float) -> int:
    """How often the operator writes while nothing happens, its Lease aside."""
    with cluster.requests_of(OPERATOR) as requests:
        time.sleep(seconds)
        return writes(requests.new())


def wait_for_quiet(cluster: Cluster, user: str) -> None:
    """Until a process has written nothing for a while."""
    deadline = time.perf_counter() + START_SECONDS
    with cluster.requests_of(user) as requests:
        quiet_since = time.perf_counter()
        while time.perf_counter() - quiet_since < QUIET_SECONDS:
            time.sleep(0.5)
            if writes(requests.new()):
                quiet_since = time.perf_counter()
            if time.perf_counter() > deadline:
                raise ProcessStuck(f"{user} does not cease to write")

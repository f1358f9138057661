"""The operator under measurement: `python -m paft_operator` with a Lease and, but for its times, default settings."""

import re
import time
from pathlib import Path

from benchmarks.operator_load.measured_process import MeasuredProcess, read_endpoint
from benchmarks.operator_load.training_jobs import TRAINER_IMAGE

READY_SECONDS = 300.0
SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
"""Seconds between two looks at the metrics."""


class Operator:
    """One operator of all namespaces, started. `jobs`: how many PaftJobs there are."""

    def __init__(self, kubeconfig: Path, *, jobs: int, log: Path) -> None:
        self._jobs = jobs
        environment = {
            "KUBECONFIG": str(kubeconfig),
            "PAFT_OPERATOR_TRAINER_IMAGE": TRAINER_IMAGE,
            "PAFT_OPERATOR_LISTEN_ADDRESS": "127.0.0.1",
            "PAFT_OPERATOR_LISTEN_PORT": "0",
            # On a busy machine it would lose the Lease, end, and leave nothing to measure.
            "PAFT_OPERATOR_LEASE_DURATION": "90",
            "PAFT_OPERATOR_LEASE_RENEW_DEADLINE": "60",
        }
        self.process = MeasuredProcess("paft_operator", (), environment=environment, log=log)

    def wait_until_all_are_observed(self) -> float:
        """Until each PaftJob was reconciled; seconds since the start of the process."""
        deadline = self.process.started + READY_SECONDS
        address = "http://" + self.process.wait_for_log(r"on (127\.0\.0\.1:\d+)", READY_SECONDS)[1]
        while read_endpoint(f"{address}/readyz")[0] != 200:
            self.process.require(time.perf_counter() < deadline)
            time.sleep(0.02)
        ready = time.perf_counter()
        while (observed := observed_jobs(read_endpoint(f"{address}/metrics")[1])) < self._jobs:
            self.process.require(time.perf_counter() < deadline)
            time.sleep(pause_until_next_look(observed, self._jobs, time.perf_counter() - ready))
        return time.perf_counter() - self.process.started


def pause_until_next_look(observed: int, jobs: int, seconds: float) -> float:
    """Most of the time that is left at the pace so far: metrics of many PaftJobs are long, and each look costs time."""
    left = 0.8 * seconds * (jobs - observed) / max(observed, 1)
    return min(max(left, SHORTEST_PAUSE), LONGEST_PAUSE)


def observed_jobs(metrics: str) -> int:
    """PaftJobs whose phase the operator knows."""
    return sum(int(float(value)) for value in re.findall(r'^paft_jobs\{phase="\w+"\} (\S+)$', metrics, re.MULTILINE))

"""A process of its own that changes children of PaftJobs at a given rate, and watches their statuses.

    python -m benchmarks.operator_load.driver --namespace N --rate 50 --seconds 60 --ending 100 --patience 30 --out FILE

A change counts from the moment in which it is sent, so the API server's own time is in every latency.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from benchmarks.operator_load.api import Api
from benchmarks.operator_load.changes import Change, ChangeKind, ending, is_unfinished, progressing, transitions_between
from benchmarks.operator_load.outcome import Outcome
from benchmarks.operator_load.populating import complete, patch_status
from benchmarks.operator_load.schedule import Schedule
from tests.pod_statuses import ContainerEnd, ended

from paft_api.spec import PaftJob
from paft_api.stage_pods import REPORT_KEY
from paft_operator.cluster.connection import Connection
from paft_operator.cluster.resources import CONFIG_MAPS, JOBS, PAFT_JOBS, PODS, Object
from paft_operator.manifests.names import attempt_name, report_name


class Driver:
    """Changes children of all PaftJobs of a namespace."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._api = api
        self._namespace = namespace
        self._statuses: dict[str, Object] = {}
        self._pending: dict[str, tuple[Change, float]] = {}
        self._outcome = Outcome()

    async def run(self, *, rate: float, seconds: float, endings: int, patience: float) -> Outcome:
        """Change children at `rate` per second; the stages of `endings` PaftJobs end meanwhile.

        `patience`: seconds after the last change for statuses that are late.
        """
        jobs, version = await self._api.list(PAFT_JOBS, self._namespace)
        self._statuses = {one["metadata"]["name"]: one["status"] for one in jobs}
        self._schedule = _schedule(jobs, endings=endings, seconds=seconds)
        watching = asyncio.create_task(self._watch(version))
        async with asyncio.TaskGroup() as group:
            self._began, cpu = time.perf_counter(), time.process_time()
            for tick in range(int(rate * seconds)):
                await asyncio.sleep(self._began + tick / rate - time.perf_counter())
                self._begin_change(group)
            self._outcome.seconds = time.perf_counter() - self._began
            self._outcome.cpu_seconds = time.process_time() - cpu
        await self._wait_for_late_ones(watching, patience)
        watching.cancel()
        return self._outcome

    def _begin_change(self, group: asyncio.TaskGroup) -> None:
        found = self._schedule.next(self._now())
        if found is None:
            self._outcome.held_back += 1
        else:
            self._outcome.changes += 1
            group.create_task(self._change(*found))

    async def _change(self, name: str, change: Change) -> None:
        write = await self._prepare_write(name, change)
        began = time.perf_counter()
        if change.expected is not None:
            self._pending[name] = (change, began)
        await write()
        self._outcome.own_writes.append(time.perf_counter() - began)
        if change.expected is None:
            self._schedule.done(name, change, self._now())

    async def _prepare_write(self, name: str, change: Change) -> Callable[[], Awaitable[Object]]:
        """What there is to read is read before the clock starts."""
        attempt = attempt_name(name, change.stage, 1)
        if change.report is not None:
            data = {"data": {REPORT_KEY: change.report.to_json()}}
            target = report_name(name, change.stage, 1)
            return partial(self._api.patch, CONFIG_MAPS, self._namespace, target, data)
        resource, target = (PODS, f"{attempt}-0") if change.kind is ChangeKind.POD else (JOBS, attempt)
        found = await self._api.get(resource, self._namespace, target)
        status = _ended_pod(found) if change.kind is ChangeKind.POD else complete(found)
        return partial(patch_status, self._api, resource, found["metadata"], status)

    async def _watch(self, version: str) -> None:
        async for job in self._api.watch(PAFT_JOBS, self._namespace, version):
            self._see(job["metadata"]["name"], job["status"])

    def _see(self, name: str, status: Object) -> None:
        seen = time.perf_counter()
        transitions = transitions_between(self._statuses[name], status)
        self._statuses[name] = status
        self._outcome.transitions += transitions
        self._outcome.progress_writes += transitions == 0
        if name not in self._pending:
            return
        change, began = self._pending[name]
        assert change.expected is not None
        if change.expected.is_met(status):
            del self._pending[name]
            latencies = self._outcome.jobs if change.kind is ChangeKind.JOB else self._outcome.reports
            latencies.append(seen - began)
            self._schedule.done(name, change, self._now())

    async def _wait_for_late_ones(self, watching: asyncio.Task[None], patience: float) -> None:
        deadline = time.perf_counter() + patience
        while self._pending and time.perf_counter() < deadline and not watching.done():
            await asyncio.sleep(0.1)
        if watching.done():
            watching.result()
        self._outcome.unseen = len(self._pending)

    def _now(self) -> float:
        return time.perf_counter() - self._began


def _schedule(jobs: list[Object], *, endings: int, seconds: float) -> Schedule:
    """Jobs of which no arm has ended yet; the first `endings` of them end."""
    models = [job for one in jobs if is_unfinished(job := PaftJob.model_validate_json(json.dumps(one)))]
    names = [job.metadata.name for job in models]
    lives = [ending(job) if number < endings else progressing(job) for number, job in enumerate(models)]
    return Schedule(
        ending=dict(zip(names[:endings], lives[:endings], strict=True)),
        progressing=dict(zip(names[endings:], lives[endings:], strict=True)),
        seconds=seconds,
    )


def _ended_pod(pod: Object) -> Object:
    return ended(pod, ContainerEnd(exit_code=0), started_at=pod["status"]["startTime"])


async def _run(arguments: argparse.Namespace) -> Outcome:
    api = Api(Connection(), connections=64)
    try:
        driver = Driver(api, arguments.namespace)
        return await driver.run(
            rate=arguments.rate, seconds=arguments.seconds, endings=arguments.ending, patience=arguments.patience
        )
    finally:
        await api.close()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--ending", type=int, required=True)
    parser.add_argument("--patience", type=float, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    outcome = asyncio.run(_run(arguments))
    arguments.out.write_text(outcome.to_json(), encoding="utf-8")


if __name__ == "__main__":
    main()

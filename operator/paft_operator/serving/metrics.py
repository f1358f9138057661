"""Prometheus metrics."""

from collections import Counter as Counting
from collections.abc import Callable, Iterator
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from paft_api.stages import StageName
from paft_api.status import PaftJobStatus, Phase, StageState, StageStatus
from paft_operator.observing.records import JobKey

_RECONCILE_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_STAGE_BUCKETS = (10.0, 60.0, 300.0, 900.0, 3600.0, 10_800.0, 36_000.0, 86_400.0, 259_200.0, 604_800.0)
_ENDED = (StageState.SUCCEEDED, StageState.FAILED)


class _Progress(NamedTuple):
    """Of a stage that runs."""

    stage: StageName
    step: int | None
    total_steps: int | None
    loss: str | None

    @classmethod
    def of(cls, stage: StageStatus) -> "_Progress":
        return cls(stage.name, stage.step, stage.total_steps, stage.loss)


class _Seen(NamedTuple):
    phase: Phase
    running: tuple[_Progress, ...]


class _Jobs(Collector):
    """What is counted when it is asked for: PaftJobs by phase, and the progress of stages that run."""

    def __init__(self) -> None:
        self.seen: dict[JobKey, _Seen] = {}

    def collect(self) -> Iterator[Metric]:
        jobs = GaugeMetricFamily("paft_jobs", "PaftJobs, by phase.", labels=["phase"])
        phases = Counting(seen.phase for seen in self.seen.values())
        for phase in Phase:
            jobs.add_metric([phase], phases[phase])
        yield jobs
        yield from self._progress()

    def _progress(self) -> Iterator[Metric]:
        labels = ["namespace", "job", "stage"]
        step = GaugeMetricFamily("paft_stage_step", "Optimizer steps done by a stage that runs.", labels=labels)
        total = GaugeMetricFamily("paft_stage_steps", "Optimizer steps in all of a stage that runs.", labels=labels)
        loss = GaugeMetricFamily("paft_stage_loss", "Last training loss of a stage that runs.", labels=labels)
        for key, seen in self.seen.items():
            for one in seen.running:
                for family, value in ((step, one.step), (total, one.total_steps), (loss, one.loss)):
                    if value is not None:
                        family.add_metric([key.namespace, key.name, one.stage], float(value))
        yield from (step, total, loss)


class Metrics:
    """All metrics of one operator, in a registry of their own."""

    def __init__(self, *, version: str, queue_depth: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        self._jobs = _Jobs()
        self.registry.register(self._jobs)
        self._seconds = Histogram(
            "paft_reconcile_duration_seconds",
            "Time to reconcile one PaftJob once.",
            buckets=_RECONCILE_BUCKETS,
            registry=self.registry,
        )
        self._errors = Counter(
            "paft_reconcile_errors", "Reconciliations that have failed.", ["error"], registry=self.registry
        )
        self.watch_failures = Counter(
            "paft_watch_failures", "Times that all watches had to be started anew.", registry=self.registry
        )
        self._stage_seconds = Histogram(
            "paft_stage_duration_seconds",
            "Time from the start of a stage's last attempt to the stage's end.",
            ["stage", "state"],
            buckets=_STAGE_BUCKETS,
            registry=self.registry,
        )
        depth = Gauge("paft_queue_depth", "PaftJobs that wait to be reconciled.", registry=self.registry)
        depth.set_function(queue_depth)
        self._leading = Gauge("paft_leader", "1 while this process leads.", registry=self.registry)
        build = Gauge("paft_build_info", "1, with the version as a label.", ["version"], registry=self.registry)
        build.labels(version).set(1)

    def reconciled(self, seconds: float, *, error: str) -> None:
        """One reconciliation has ended. `error`: the error's kind, empty for success."""
        self._seconds.observe(seconds)
        if error:
            self._errors.labels(error).inc()

    def leading(self, is_leading: bool) -> None:
        """Whether this process leads."""
        self._leading.set(is_leading)

    def saw(self, key: JobKey, before: PaftJobStatus | None, after: PaftJobStatus) -> None:
        """A PaftJob's status is now `after`."""
        running = tuple(stage for stage in after.stages if stage.state is StageState.RUNNING)
        self._jobs.seen[key] = _Seen(after.phase, tuple(_Progress.of(stage) for stage in running))
        if before is None:
            return
        for stage in after.stages:
            if stage.state in _ENDED and before.stage(stage.name).state not in _ENDED:
                self._observe_end(stage)

    def forget(self, key: JobKey) -> None:
        """A PaftJob is gone."""
        self._jobs.seen.pop(key, None)

    def render(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self.registry)

    def _observe_end(self, stage: StageStatus) -> None:
        if stage.started_at is not None and stage.finished_at is not None:
            seconds = (stage.finished_at - stage.started_at).total_seconds()
            self._stage_seconds.labels(stage.name, stage.state).observe(max(0.0, seconds))

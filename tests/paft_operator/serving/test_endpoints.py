"""Probes and metrics, over HTTP."""

import asyncio
from datetime import timedelta

import aiohttp
from tests.paft_operator.observing.records_of import NOW, later

from paft_api.stages import StageName
from paft_api.status import PaftJobStatus, Phase, StageState, StageStatus
from paft_operator.observing.records import JobKey
from paft_operator.serving.endpoints import endpoints
from paft_operator.serving.health import Health
from paft_operator.serving.metrics import Metrics


def _status(state: StageState, phase: Phase = Phase.TRAINING) -> PaftJobStatus:
    finished = later(90) if state is StageState.SUCCEEDED else None
    entry = StageStatus(
        name=StageName.SFT,
        state=state,
        attempt=1,
        step=4,
        total_steps=8,
        loss="1.25",
        started_at=NOW,
        finished_at=finished,
    )
    return PaftJobStatus(observed_generation=1, phase=phase, stages=(entry,))


def _samples(metrics: Metrics) -> set[str]:
    return {line for line in metrics.render().decode().splitlines() if not line.startswith("#")}


def test_probes_and_metrics_are_served() -> None:
    async def scenario() -> None:
        health, metrics = Health(), Metrics(version="1.2.3", queue_depth=lambda: 5)
        async with (
            endpoints(health, metrics, address="127.0.0.1", port=0) as port,
            aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client,
        ):

            async def get(path: str) -> tuple[int, str]:
                async with client.get(path) as answer:
                    return answer.status, await answer.text()

            assert await get("/healthz") == (200, "ok")
            assert await get("/readyz") == (503, "starting")
            health.not_ready = ""
            assert await get("/readyz") == (200, "ok")
            status, text = await get("/metrics")
            assert status == 200
            assert 'paft_build_info{version="1.2.3"} 1.0' in text
            assert "paft_queue_depth 5.0" in text

    asyncio.run(scenario())


def test_jobs_are_counted_by_phase_and_running_stages_told() -> None:
    metrics = Metrics(version="1", queue_depth=lambda: 0)
    one, two = JobKey("team-a", "one"), JobKey("team-a", "two")
    metrics.saw(one, None, _status(StageState.RUNNING))
    metrics.saw(two, None, _status(StageState.SUCCEEDED, Phase.SUCCEEDED))

    samples = _samples(metrics)
    assert {
        'paft_jobs{phase="Training"} 1.0',
        'paft_jobs{phase="Succeeded"} 1.0',
        'paft_jobs{phase="Failed"} 0.0',
        'paft_stage_step{job="one",namespace="team-a",stage="sft"} 4.0',
        'paft_stage_steps{job="one",namespace="team-a",stage="sft"} 8.0',
        'paft_stage_loss{job="one",namespace="team-a",stage="sft"} 1.25',
    } <= samples
    assert not any('job="two"' in sample for sample in samples)

    metrics.forget(one)
    assert 'paft_jobs{phase="Training"} 0.0' in _samples(metrics)


def test_the_seconds_of_a_stage_are_counted_once_when_it_ends() -> None:
    metrics = Metrics(version="1", queue_depth=lambda: 0)
    key = JobKey("team-a", "one")
    running, done = _status(StageState.RUNNING), _status(StageState.SUCCEEDED)
    for before, after in ((None, running), (running, done), (done, done)):
        metrics.saw(key, before, after)

    labels = '{stage="sft",state="Succeeded"}'
    assert {f"paft_stage_duration_seconds_count{labels} 1.0", f"paft_stage_duration_seconds_sum{labels} 90.0"} <= (
        _samples(metrics)
    )


def test_errors_are_counted_by_kind() -> None:
    metrics = Metrics(version="1", queue_depth=lambda: 0)
    metrics.reconciled(timedelta(milliseconds=20).total_seconds(), error="")
    metrics.reconciled(0.02, error="ApiError")

    assert {'paft_reconcile_errors_total{error="ApiError"} 1.0', "paft_reconcile_duration_seconds_count 2.0"} <= (
        _samples(metrics)
    )

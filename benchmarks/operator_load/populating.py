"""Puts PaftJobs in phase Training into a cluster, many at a time.

Left out, as the operator does not look at them while an attempt runs: Services, ServiceAccounts, Roles, RoleBindings.
The Job controller does not run: what it and the kubelet would write is written here.
"""

import asyncio
import json
from datetime import UTC, datetime

from benchmarks.operator_load.api import APPLY, STRATEGIC_MERGE, Api
from benchmarks.operator_load.training_jobs import (
    AttemptPlan,
    TrainingJob,
    in_training,
    paft_job_manifest,
    pod_manifest,
)
from tests.paft_operator.played_stages import report, result
from tests.pod_statuses import ContainerEnd, ended, now, started

from paft_api.report import StageReport
from paft_api.spec import PaftJob
from paft_api.stage_pods import REPORT_KEY
from paft_api.stages import StageName
from paft_operator.cluster.api_client import FIELD_MANAGER
from paft_operator.cluster.connection import Connection
from paft_operator.cluster.resources import CONFIG_MAPS, JOBS, PAFT_JOBS, PODS, Object, Resource

_AT_ONCE = 24


async def populate(namespace: str, count: int) -> None:
    """Create `count` PaftJobs and what belongs to them."""
    api = Api(Connection(), connections=_AT_ONCE)
    slots = asyncio.Semaphore(_AT_ONCE)

    async def create(number: int) -> None:
        async with slots:
            await _create(api, namespace, number)

    try:
        async with asyncio.TaskGroup() as group:
            for number in range(count):
                group.create_task(create(number))
    finally:
        await api.close()


async def _create(api: Api, namespace: str, number: int) -> None:
    created = await api.create(PAFT_JOBS, paft_job_manifest(namespace, number))
    job = PaftJob.model_validate_json(json.dumps(created))
    training = in_training(job, datetime.now(UTC).replace(microsecond=0))
    await asyncio.gather(_write_status(api, created, training), *(_run(api, one) for one in training.attempts))


async def _write_status(api: Api, created: Object, training: TrainingJob) -> None:
    """As the operator does, so that nobody else owns a field of it."""
    manifest = {name: created[name] for name in ("apiVersion", "kind")}
    metadata = {name: created["metadata"][name] for name in ("name", "namespace")}
    await api.patch(
        PAFT_JOBS,
        metadata["namespace"],
        metadata["name"],
        {**manifest, "metadata": metadata, "status": training.status.to_document()},
        subresource="status",
        content_type=APPLY,
        field_manager=FIELD_MANAGER,
    )


async def _run(api: Api, attempt: AttemptPlan) -> None:
    has_ended = attempt.stage is StageName.PREPARE
    told = result(attempt.run_spec) if has_ended else report(attempt.run_spec, step=0)
    for resource, manifest in attempt.objects:
        created = await api.create(resource, _with_report(resource, manifest, told))
        if resource is JOBS:
            await _run_pod(api, created, has_ended=has_ended)
            if has_ended:
                await patch_status(api, JOBS, created["metadata"], complete(created))


async def _run_pod(api: Api, job_object: Object, *, has_ended: bool) -> None:
    pod = await api.create(PODS, pod_manifest(job_object))
    status = ended(pod, ContainerEnd(exit_code=0), started_at=now()) if has_ended else started(pod)
    await patch_status(api, PODS, pod["metadata"], status)


async def patch_status(api: Api, resource: Resource, metadata: Object, status: Object) -> Object:
    """Write the status of a Job or a pod."""
    return await api.patch(
        resource,
        metadata["namespace"],
        metadata["name"],
        {"status": status},
        subresource="status",
        content_type=STRATEGIC_MERGE,
    )


def complete(job_object: Object) -> Object:
    """What the Job controller writes once the only pod of a Job has succeeded."""
    is_indexed = job_object["spec"].get("completionMode") == "Indexed"
    conditions = [
        {"type": type_, "status": "True", "reason": "CompletionsReached", "lastTransitionTime": now()}
        for type_ in ("SuccessCriteriaMet", "Complete")
    ]
    return {
        "startTime": job_object["metadata"]["creationTimestamp"],
        "completionTime": now(),
        "succeeded": 1,
        "conditions": conditions,
    } | ({"completedIndexes": "0"} if is_indexed else {})


def _with_report(resource: Resource, manifest: Object, told: StageReport) -> Object:
    is_report = resource is CONFIG_MAPS and "data" not in manifest
    return manifest | {"data": {REPORT_KEY: told.to_json()}} if is_report else manifest

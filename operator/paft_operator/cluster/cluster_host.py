"""Carries out what the planner decides, in a cluster; every step may be repeated.

The Job of an attempt is created last and once, and afterwards only deleted.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime

from paft_api import labels
from paft_api.spec import PaftJob
from paft_api.stages import ARMS
from paft_operator.cluster.api_client import ApiClient
from paft_operator.cluster.errors import ApiError, ForeignObject, JobSetMissing, Outdated
from paft_operator.cluster.live_objects import LiveObjects
from paft_operator.cluster.resources import (
    CONFIG_MAPS,
    JOB_SETS,
    JOBS,
    ROLE_BINDINGS,
    ROLES,
    SERVICE_ACCOUNTS,
    SERVICES,
    Object,
    Resource,
    is_owned_by,
    owner_of,
    resource_of,
)
from paft_operator.manifests.attempt_objects import supporting_objects
from paft_operator.manifests.names import attempt_name, report_name, service_name
from paft_operator.manifests.settings import ManifestSettings
from paft_operator.manifests.workload import started_together, uses_job_set, workload
from paft_operator.observing.records import STOPPED_AT, AttemptKey, JobKey, JobRecord
from paft_operator.planner.actions import Action, DeleteChildren, StartAttempt, StopAttempt

_DECIDED_AT_START = ("data", "subjects")
"""What an attempt's objects have from the spec, but for the Job."""


class ClusterHost:
    """Where attempts run."""

    def __init__(self, client: ApiClient, live: LiveObjects, settings: ManifestSettings) -> None:
        self._client = client
        self._live = live
        self._settings = settings

    async def apply(self, job: PaftJob, actions: Sequence[Action]) -> None:
        """Carry out actions, starts last. Raises ClusterError; what was done before then stays."""
        for action in actions:
            match action:
                case StartAttempt():
                    continue
                case StopAttempt():
                    await self._stop(job, action)
                case DeleteChildren():
                    await self._delete_children(job)
        for starts in started_together(job, actions):
            await self._start(job, starts)

    async def _start(self, job: PaftJob, starts: tuple[StartAttempt, ...]) -> None:
        """By the RunSpec the rest is found again, a binding needs its role, and where a Job is, its pods need all."""
        needs_job_set = len(starts) > 1 or uses_job_set(job, starts[0].stage, self._settings)
        if needs_job_set and not self._settings.has_job_sets:
            raise JobSetMissing
        for start in starts:
            run_spec, *others, binding = supporting_objects(job, start, self._settings)
            await self._provide(job, run_spec)
            await _all(*(self._provide(job, one) for one in others))
            await self._provide(job, binding)
        await self._provide(job, workload(job, starts, self._settings))

    async def _provide(self, job: PaftJob, manifest: Object) -> None:
        """Create an object, or bring the one that attempts share up to date."""
        resource = resource_of(manifest)
        if resource is SERVICES:
            if (existing := await self._get(manifest)) is not None:
                _require_own(job, manifest, existing)
            await self._client.apply(SERVICES, manifest)
            return
        try:
            there = await self._client.create(resource, manifest)
        except ApiError as error:
            if not error.is_conflict:
                raise
            there = await self._take_over(job, manifest)
        self._live.remember(resource, there)

    async def _take_over(self, job: PaftJob, manifest: Object) -> Object:
        """The answer to an earlier try was lost, another process of ours was faster, or it was never used."""
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        existing = await self._get(manifest)
        if existing is None:
            raise Outdated(f"{kind} {name} was there a moment ago and is gone")
        _require_own(job, manifest, existing)
        if any(existing.get(field) != manifest[field] for field in _DECIDED_AT_START if field in manifest):
            # Left by a start that did not get as far as the Job, for a spec that has changed since.
            await self._delete(resource_of(manifest), existing)
            return await self._client.create(resource_of(manifest), manifest)
        return existing

    async def _stop(self, job: PaftJob, action: StopAttempt) -> None:
        key = JobKey(job.metadata.namespace, job.metadata.name)
        attempt = AttemptKey(action.stage, action.attempt)
        name = attempt_name(job.metadata.name, *attempt)
        if (job_set := self._live.job_set_of(key, _uid(job), attempt)) is not None:
            # What it runs besides ends with it.
            for other in job_set.attempts:
                if other == attempt or self._live.runs_in_set(key, job_set, other):
                    await self._say_why(job, other, action.reason)
            await self._client.delete(JOB_SETS, key.namespace, job_set.name, uid=job_set.uid, propagation="Foreground")
            return
        found = self._live.known(key, JobRecord, name)
        if found is None:
            raise Outdated(f"Job {name} is to be stopped and is gone")
        await self._say_why(job, attempt, action.reason)
        await self._client.delete(JOBS, key.namespace, name, uid=found.uid, propagation="Foreground")

    async def _say_why(self, job: PaftJob, attempt: AttemptKey, reason: str) -> None:
        """Before it stops, so that whoever finds its Job gone knows that it was asked to."""
        name = attempt_name(job.metadata.name, *attempt)
        annotations = {labels.STOPPED: reason, STOPPED_AT: datetime.now(UTC).isoformat(timespec="seconds")}
        change = {"metadata": {"annotations": annotations}}
        run_spec = await self._client.merge(CONFIG_MAPS, job.metadata.namespace, name, change)
        if run_spec is not None:
            self._live.remember(CONFIG_MAPS, run_spec)

    async def _delete_children(self, job: PaftJob) -> None:
        """The RunSpecs go last: as long as one is there, so may be everything else of its attempt."""
        name = job.metadata.name
        key = JobKey(job.metadata.namespace, name)
        attempts = self._live.attempts(key, _uid(job))
        names = [attempt_name(name, *attempt) for attempt in attempts]
        await self._delete_own(job, JOB_SETS, self._live.job_sets(key))
        for resource in (JOBS, SERVICE_ACCOUNTS, ROLES, ROLE_BINDINGS):
            await self._delete_own(job, resource, names)
        await self._delete_own(job, SERVICES, [service_name(name, arm) for arm in ARMS])
        await self._delete_own(job, CONFIG_MAPS, [report_name(name, *attempt) for attempt in attempts])
        await self._delete_own(job, CONFIG_MAPS, names)

    async def _delete_own(self, job: PaftJob, resource: Resource, names: Sequence[str]) -> None:
        namespace = job.metadata.namespace
        for name in names:
            found = await self._client.get(resource, namespace, name)
            if found is not None and is_owned_by(found, _uid(job)):
                await self._delete(resource, found)

    async def _delete(self, resource: Resource, found: Object) -> None:
        metadata = found["metadata"]
        await self._client.delete(resource, metadata["namespace"], metadata["name"], uid=metadata["uid"])

    async def _get(self, manifest: Object) -> Object | None:
        metadata = manifest["metadata"]
        return await self._client.get(resource_of(manifest), metadata["namespace"], metadata["name"])


def _require_own(job: PaftJob, manifest: Object, existing: Object) -> None:
    if is_owned_by(existing, _uid(job)):
        return
    kind, name, owner = manifest["kind"], manifest["metadata"]["name"], owner_of(existing)
    if (owner.get("apiVersion"), owner.get("kind"), owner.get("name")) == (
        job.api_version,
        job.kind,
        job.metadata.name,
    ):
        raise Outdated(f"{kind} {name} of an earlier PaftJob of this name is still there")
    raise ForeignObject(kind, name)


async def _all(*steps: Coroutine[object, object, None]) -> None:
    """At the same time and each to its end; then the first error is raised."""
    for outcome in await asyncio.gather(*steps, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


def _uid(job: PaftJob) -> str:
    assert job.metadata.uid is not None
    return job.metadata.uid

"""Carries out what the planner decides, in a cluster; every step may be repeated.

The Job of an attempt is created last and once, and afterwards only deleted.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from paft_api import labels
from paft_api.spec import PaftJob
from paft_api.stages import ARMS
from paft_operator.cluster.api_client import ApiClient
from paft_operator.cluster.errors import ApiError, ForeignObject, Outdated
from paft_operator.cluster.live_objects import LiveObjects
from paft_operator.cluster.resources import (
    CONFIG_MAPS,
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
from paft_operator.manifests.attempt_objects import attempt_objects
from paft_operator.manifests.names import attempt_name, report_name, service_name
from paft_operator.manifests.settings import ManifestSettings
from paft_operator.observing.records import STOPPED_AT, JobKey, JobRecord
from paft_operator.planner.actions import Action, DeleteChildren, StartAttempt, StopAttempt


class ClusterHost:
    """Where attempts run."""

    def __init__(self, client: ApiClient, live: LiveObjects, settings: ManifestSettings) -> None:
        self._client = client
        self._live = live
        self._settings = settings

    async def apply(self, job: PaftJob, actions: Sequence[Action]) -> None:
        """Carry out actions in their order. Raises ClusterError; what was done before then stays."""
        for action in actions:
            match action:
                case StartAttempt():
                    await self._start(job, action)
                case StopAttempt():
                    await self._stop(job, action)
                case DeleteChildren():
                    await self._delete_children(job)

    async def _start(self, job: PaftJob, action: StartAttempt) -> None:
        manifests = attempt_objects(job, action, self._settings)
        found = await asyncio.gather(*(self._get(manifest) for manifest in manifests))
        for manifest, existing in zip(manifests, found, strict=True):
            if existing is not None:
                _require_own(job, manifest, existing)
        if found[-1] is not None:
            self._live.remember(JOBS, found[-1])
            return
        for manifest, existing in zip(manifests[:-1], found[:-1], strict=True):
            await self._provide(manifest, existing)
        self._live.remember(JOBS, await self._create_job(job, manifests[-1]))

    async def _provide(self, manifest: Object, existing: Object | None) -> None:
        """Create an object, or bring one that attempts share up to date; others never change once they are there."""
        resource = resource_of(manifest)
        if existing is not None and existing.get("immutable") and existing["data"] != manifest["data"]:
            # Left by a start that did not get as far as the Job, for a spec that has changed since.
            metadata = existing["metadata"]
            await self._client.delete(CONFIG_MAPS, metadata["namespace"], metadata["name"], uid=metadata["uid"])
        elif existing is not None and resource is not SERVICES:
            self._live.remember(resource, existing)
            return
        self._live.remember(resource, await self._client.apply(resource, manifest))

    async def _create_job(self, job: PaftJob, manifest: Object) -> Object:
        namespace, name = manifest["metadata"]["namespace"], manifest["metadata"]["name"]
        try:
            return await self._client.create(JOBS, namespace, manifest)
        except ApiError as error:
            if not error.is_conflict:
                raise
        # The answer to an earlier try was lost, or another process of ours was faster.
        existing = await self._client.get(JOBS, namespace, name)
        if existing is None:
            raise Outdated(f"Job {name} was there a moment ago and is gone")
        _require_own(job, manifest, existing)
        return existing

    async def _stop(self, job: PaftJob, action: StopAttempt) -> None:
        namespace = job.metadata.namespace
        name = attempt_name(job.metadata.name, action.stage, action.attempt)
        found = self._live.known(JobKey(namespace, job.metadata.name), JobRecord, name)
        if found is None:
            raise Outdated(f"Job {name} is to be stopped and is gone")
        # First why, so that whoever finds the Job gone knows that it was asked to stop.
        annotations = {labels.STOPPED: action.reason, STOPPED_AT: datetime.now(UTC).isoformat(timespec="seconds")}
        run_spec = await self._client.merge(CONFIG_MAPS, namespace, name, {"metadata": {"annotations": annotations}})
        if run_spec is not None:
            self._live.remember(CONFIG_MAPS, run_spec)
        await self._client.delete(JOBS, namespace, name, uid=found.uid, propagation="Foreground")

    async def _delete_children(self, job: PaftJob) -> None:
        """The RunSpecs go last: as long as one is there, so may be everything else of its attempt."""
        name = job.metadata.name
        attempts = self._live.attempts(JobKey(job.metadata.namespace, name), _uid(job))
        names = [attempt_name(name, *attempt) for attempt in attempts]
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
                await self._client.delete(resource, namespace, name, uid=found["metadata"]["uid"])

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


def _uid(job: PaftJob) -> str:
    assert job.metadata.uid is not None
    return job.metadata.uid

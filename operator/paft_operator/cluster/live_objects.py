"""Objects as the API server itself has them now; whatever is read or written goes into the index at once."""

import asyncio
from collections.abc import Collection

from paft_api import labels
from paft_api.stages import ARMS
from paft_operator.cluster.api_client import ApiClient
from paft_operator.cluster.errors import ApiError
from paft_operator.cluster.index import ChildKey, Index
from paft_operator.cluster.resources import CONFIG_MAPS, JOB_SETS, JOBS, PAFT_JOBS, PODS, WORKLOADS, Object, Resource
from paft_operator.cluster.watching import WATCHED
from paft_operator.manifests.names import attempt_name, job_name_in_set, report_name
from paft_operator.observing.parsing import paft_job_record
from paft_operator.observing.queueing import JOB_UID_LABEL, queue_reason
from paft_operator.observing.records import (
    AttemptKey,
    ChildRecord,
    JobKey,
    JobRecord,
    JobSetRecord,
    JobState,
    PaftJobRecord,
    PodRecord,
    ReportRecord,
    RunSpecRecord,
)
from paft_operator.planner.observation import QueueReason


class LiveObjects:
    """Reads past the watches, and tells the index. `has_job_sets`: whether JobSet is installed."""

    def __init__(self, client: ApiClient, index: Index, *, has_job_sets: bool = False) -> None:
        self._client = client
        self._index = index
        self._has_job_sets = has_job_sets

    def remember(self, resource: Resource, manifest: Object) -> None:
        """Put what the API server has just answered into the index."""
        if resource in WATCHED and (record := WATCHED[resource](manifest)) is not None:
            self._index.put(record)

    def known(self, key: JobKey, kind: type[ChildRecord], name: str) -> ChildRecord | None:
        """What the index has of one object of a PaftJob."""
        known = self._index.known(key)
        return known.children.get(ChildKey(kind, name)) if known is not None else None

    def attempts(self, key: JobKey, job_uid: str) -> list[AttemptKey]:
        """Attempts of which the index has objects that the PaftJob with this uid controls."""
        return sorted({child.attempt_key for child in self._children(key) if child.owner_uid == job_uid})

    def job_set_of(self, key: JobKey, job_uid: str, attempt: AttemptKey) -> JobSetRecord | None:
        """The JobSet of the PaftJob with this uid that runs an attempt, as the index has it."""
        found = (child for child in self._children(key) if isinstance(child, JobSetRecord))
        return next((one for one in found if one.owner_uid == job_uid and attempt in one.attempts), None)

    def job_sets(self, key: JobKey) -> list[str]:
        """Names of a PaftJob's JobSets that the index has."""
        return [child.name for child in self._children(key) if isinstance(child, JobSetRecord)]

    def runs_in_set(self, key: JobKey, job_set: JobSetRecord, attempt: AttemptKey) -> bool:
        """Whether the Job of an attempt in a JobSet has not ended, as far as the index knows."""
        found = self.known(key, JobRecord, job_name_in_set(job_set.name, attempt.stage))
        return not isinstance(found, JobRecord) or found.state is JobState.ACTIVE

    async def queue_reason(self, namespace: str, uid: str) -> QueueReason | None:
        """Why Kueue holds the Job or JobSet with this uid back; None where it does not tell, or is not here."""
        workloads: list[Object] = []
        try:
            async for page in self._client.pages(WORKLOADS, namespace, labels=f"{JOB_UID_LABEL}={uid}"):
                workloads += page.items
        except ApiError as error:
            if not error.is_not_found:
                raise
        return queue_reason(workloads)

    async def paft_job(self, key: JobKey) -> PaftJobRecord | None:
        """The PaftJob as it is now."""
        found = await self._client.get(PAFT_JOBS, key.namespace, key.name)
        if found is not None:
            self.remember(PAFT_JOBS, found)
            return paft_job_record(found)
        known = self._index.known(key)
        if known is not None and known.paft_job is not None:
            self._index.absent(known.paft_job)
        return None

    async def read_attempt(self, key: JobKey, attempt: AttemptKey) -> bool:
        """Bring what the index has of an attempt up to date; whether nothing is missing that only a watch can tell.

        That is what a pod last said which is gone.
        """
        name = attempt_name(key.name, attempt.stage, attempt.attempt)
        report = report_name(key.name, attempt.stage, attempt.attempt)
        # The Job first: pods and report of a Job that has ended do not change any more.
        for job_name in [name, *await self._jobs_in_sets(key, attempt)]:
            await self._read(key, JOBS, JobRecord, job_name)
        _, _, is_complete = await asyncio.gather(
            self._read(key, CONFIG_MAPS, RunSpecRecord, name),
            self._read(key, CONFIG_MAPS, ReportRecord, report),
            self._read_pods(key, attempt),
        )
        return is_complete

    async def _jobs_in_sets(self, key: JobKey, attempt: AttemptKey) -> list[str]:
        """Names of an attempt's Jobs in JobSets; what the index has of these is brought up to date."""
        if not self._has_job_sets or attempt.stage not in ARMS:
            return []
        listed: set[str] = set()
        version = 0
        async for page in self._client.pages(JOB_SETS, key.namespace, labels=f"{labels.JOB_NAME}={key.name}"):
            version = page.version
            for manifest in page.items:
                listed.add(manifest["metadata"]["name"])
                self.remember(JOB_SETS, manifest)
        known = [child for child in self._children(key) if isinstance(child, JobSetRecord)]
        for one in known:
            if one.name not in listed and one.version <= version:
                self._index.absent(one)
        return [job_name_in_set(one.name, attempt.stage) for one in known if attempt in one.attempts]

    async def _read(self, key: JobKey, resource: Resource, kind: type[ChildRecord], name: str) -> None:
        found = await self._client.get(resource, key.namespace, name)
        if found is not None:
            self.remember(resource, found)
        elif (record := self.known(key, kind, name)) is not None:
            self._index.absent(record)

    async def _read_pods(self, key: JobKey, attempt: AttemptKey) -> bool:
        listed: set[str] = set()
        wanted = labels.attempt_labels(key.name, attempt.stage, attempt.attempt)
        selector = ",".join(f"{name}={value}" for name, value in sorted(wanted.items()))
        async for page in self._client.pages(PODS, key.namespace, labels=selector):
            for pod in page.items:
                listed.add(pod["metadata"]["name"])
                self.remember(PODS, pod)
        return not any(
            child.attempt_key == attempt and not (child.is_gone or child.tells_an_end or child.name in listed)
            for child in self._children(key)
            if isinstance(child, PodRecord)
        )

    def _children(self, key: JobKey) -> Collection[ChildRecord]:
        known = self._index.known(key)
        return known.children.values() if known is not None else ()

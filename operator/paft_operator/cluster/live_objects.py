"""Objects as the API server itself has them now; whatever is read or written goes into the index at once."""

import asyncio
from collections.abc import Collection

from paft_api import labels
from paft_operator.cluster.api_client import ApiClient
from paft_operator.cluster.index import ChildKey, Index
from paft_operator.cluster.resources import CONFIG_MAPS, JOBS, PAFT_JOBS, PODS, Object, Resource
from paft_operator.cluster.watching import WATCHED
from paft_operator.manifests.names import attempt_name, report_name
from paft_operator.observing.parsing import paft_job_record
from paft_operator.observing.records import (
    AttemptKey,
    ChildRecord,
    JobKey,
    JobRecord,
    PaftJobRecord,
    PodRecord,
    ReportRecord,
    RunSpecRecord,
)


class LiveObjects:
    """Reads past the watches, and tells the index."""

    def __init__(self, client: ApiClient, index: Index) -> None:
        self._client = client
        self._index = index

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
        await self._read(key, JOBS, JobRecord, name)
        _, _, is_complete = await asyncio.gather(
            self._read(key, CONFIG_MAPS, RunSpecRecord, name),
            self._read(key, CONFIG_MAPS, ReportRecord, report),
            self._read_pods(key, attempt),
        )
        return is_complete

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

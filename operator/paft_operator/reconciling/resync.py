"""Complete lists of everything: the first fill the index, later ones find what the watches have missed.

A watch does not tell of an object that was deleted while it could not watch.
"""

import asyncio
import logging
from collections.abc import Sequence

from paft_operator.cluster.api_client import ApiClient
from paft_operator.cluster.errors import ClusterError
from paft_operator.cluster.index import Index
from paft_operator.cluster.resources import PAFT_JOBS, Resource
from paft_operator.cluster.watching import SELECTOR, WATCHED
from paft_operator.observing.records import (
    JobKey,
    JobRecord,
    JobSetRecord,
    PaftJobRecord,
    PodRecord,
    Record,
    ReportRecord,
    RunSpecRecord,
)
from paft_operator.reconciling.work_queue import WorkQueue

logger = logging.getLogger(__name__)

_RETRY_SECONDS = 1.0
_LONGEST_RETRY_SECONDS = 30.0
_SECOND_LISTS_SECONDS = 10.0
"""After watches have begun; by then kopf has listed as well."""
_KINDS: dict[str, tuple[type[Record], ...]] = {
    "paftjobs": (PaftJobRecord,),
    "jobsets": (JobSetRecord,),
    "jobs": (JobRecord,),
    "pods": (PodRecord,),
    "configmaps": (RunSpecRecord, ReportRecord),
}


class Resync:
    """`resources`: what to list. `namespaces`: those to list; none for all."""

    def __init__(
        self,
        client: ApiClient,
        index: Index,
        queue: WorkQueue[JobKey],
        *,
        resources: Sequence[Resource],
        namespaces: Sequence[str],
        interval: float,
    ) -> None:
        self._client = client
        self._index = index
        self._queue = queue
        self._resources = tuple(resources)
        self._namespaces: tuple[str | None, ...] = tuple(namespaces) or (None,)
        self._interval = interval

    async def run(self, first_lists: asyncio.Event, watching: asyncio.Event) -> None:
        """List everything now and then; sets `first_lists` once that has succeeded for the first time.

        Once more soon after `watching`: what was deleted between the first lists and kopf's own, no watch tells.
        """
        failures, is_second = 0, False
        while True:
            try:
                await self.list_all(only_news=is_second)
            except ClusterError as error:
                failures += 1
                logger.error("could not list everything: %s", error)
                pause = min(_RETRY_SECONDS * 2.0 ** (failures - 1), _LONGEST_RETRY_SECONDS)
                await asyncio.sleep(max(pause, error.retry_after))
            else:
                failures, is_second = 0, not first_lists.is_set()
                first_lists.set()
                if is_second:
                    await watching.wait()
                await asyncio.sleep(min(_SECOND_LISTS_SECONDS, self._interval) if is_second else self._interval)

    async def list_all(self, *, only_news: bool = False) -> None:
        """List everything once. PaftJobs of which something is news are queued, and others that have not ended."""
        for resource in self._resources:
            for namespace in self._namespaces:
                await self._list(resource, namespace)
        if only_news:
            return
        for key in self._index.job_keys():
            known = self._index.known(key)
            if known is not None and known.paft_job is not None and not known.paft_job.has_ended:
                self._queue.add(key)

    async def _list(self, resource: Resource, namespace: str | None) -> None:
        """Parts that were read are put into the index at once, so that no list is ever in memory as a whole."""
        parser = WATCHED[resource]
        listed: set[tuple[str, str]] = set()
        version = 0
        labels = "" if resource is PAFT_JOBS else SELECTOR
        async for page in self._client.pages(resource, namespace, labels=labels):
            version = page.version
            for manifest in page.items:
                listed.add((manifest["metadata"]["namespace"], manifest["metadata"]["name"]))
                record = parser(manifest)
                if record is not None and (key := self._index.put(record)) is not None:
                    self._queue.add(key)
            # A page takes a while to read: let others have their turn.
            await asyncio.sleep(0)
        for kind in _KINDS[resource.plural]:
            for key in self._index.retain(kind, namespace, listed, version=version):
                self._queue.add(key)

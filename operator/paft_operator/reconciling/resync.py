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
_KINDS: dict[str, tuple[type[Record], ...]] = {
    "paftjobs": (PaftJobRecord,),
    "jobs": (JobRecord,),
    "pods": (PodRecord,),
    "configmaps": (RunSpecRecord, ReportRecord),
}


class Resync:
    """`namespaces`: those to list; none for all."""

    def __init__(
        self, client: ApiClient, index: Index, queue: WorkQueue[JobKey], *, namespaces: Sequence[str], interval: float
    ) -> None:
        self._client = client
        self._index = index
        self._queue = queue
        self._namespaces: tuple[str | None, ...] = tuple(namespaces) or (None,)
        self._interval = interval

    async def run(self, first_lists: asyncio.Event) -> None:
        """List everything now and then; sets `first_lists` once that has succeeded for the first time."""
        failures = 0
        while True:
            try:
                await self.list_all()
            except ClusterError as error:
                failures += 1
                logger.error("could not list everything: %s", error)
                pause = min(_RETRY_SECONDS * 2.0 ** (failures - 1), _LONGEST_RETRY_SECONDS)
                await asyncio.sleep(max(pause, error.retry_after))
            else:
                failures = 0
                first_lists.set()
                await asyncio.sleep(self._interval)

    async def list_all(self) -> None:
        """List everything once. PaftJobs that may not be where they should be are queued."""
        for resource in WATCHED:
            for namespace in self._namespaces:
                await self._list(resource, namespace)
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

"""Writes status: transitions at once, progress now and then, nothing where nothing changed."""

import time

from paft_api.spec.job import API_VERSION, KIND
from paft_api.status import PaftJobStatus
from paft_operator.cluster.api_client import ApiClient
from paft_operator.cluster.errors import ApiError, DefinitionTooOld, Outdated
from paft_operator.cluster.live_objects import LiveObjects
from paft_operator.cluster.resources import PAFT_JOBS
from paft_operator.observing.records import JobKey, PaftJobRecord
from paft_operator.reconciling.job_documents import status_in
from paft_operator.reconciling.status_changes import Change, change_between


class StatusWriter:
    """`progress_interval`: seconds between two writes of progress to one PaftJob."""

    def __init__(self, client: ApiClient, live: LiveObjects, *, progress_interval: float) -> None:
        self._client = client
        self._live = live
        self._progress_interval = progress_interval
        self._written_at: dict[JobKey, float] = {}

    async def write(self, record: PaftJobRecord, before: PaftJobStatus | None, after: PaftJobStatus) -> float | None:
        """Bring status up to date; seconds after which progress may be written, where it has to wait.

        Raises Outdated where the PaftJob has changed since `record`: what was decided may no longer be right.
        """
        change = change_between(before, after)
        if change is Change.NONE:
            return None
        if change is Change.PROGRESS:
            wait = self._written_at.get(record.key, 0.0) + self._progress_interval - time.monotonic()
            if wait > 0:
                return wait
        await self._apply(record, after)
        self._written_at[record.key] = time.monotonic()
        return None

    def forget(self, key: JobKey) -> None:
        """The PaftJob is gone."""
        self._written_at.pop(key, None)

    async def _apply(self, record: PaftJobRecord, status: PaftJobStatus) -> None:
        manifest = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {
                "namespace": record.namespace,
                "name": record.name,
                "resourceVersion": str(record.version),
            },
            "status": status.to_document(),
        }
        try:
            self._live.remember(PAFT_JOBS, await self._client.apply(PAFT_JOBS, manifest, subresource="status"))
        except ApiError as error:
            if error.is_unknown_field:
                raise DefinitionTooOld(str(error)) from error
            if not (error.is_conflict or error.is_not_found):
                raise
            live = await self._live.paft_job(record.key)
            # The answer to the same write may have been lost.
            if live is None or live.uid != record.uid or status_in(live) != status:
                raise Outdated(f"PaftJob {record.name} has changed meanwhile") from error

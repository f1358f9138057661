"""Events for people, as `kubectl describe` shows them.

An Event's name follows from what happened to which PaftJob: telling it again after a restart makes no second one.
"""

import asyncio
import hashlib
import logging
from collections import OrderedDict
from datetime import UTC, datetime

from paft_api.spec.job import API_VERSION, KIND
from paft_operator.cluster.api_client import ApiClient
from paft_operator.cluster.errors import ApiError, ClusterError
from paft_operator.cluster.resources import EVENTS, Object
from paft_operator.observing.records import PaftJobRecord
from paft_operator.planner.actions import Event

logger = logging.getLogger(__name__)

MAXIMUM_NOTE = 1024
"""Characters of an Event's text that the API server takes."""

MAXIMUM_WAITING = 10_000
MAXIMUM_REMEMBERED = 20_000
_TRIES = 5


class EventRecorder:
    """Sends Events one after the other, beside reconciling: an Event is not worth waiting for."""

    def __init__(self, client: ApiClient, *, instance: str) -> None:
        self._client = client
        self._instance = instance
        self._recorded: OrderedDict[str, None] = OrderedDict()
        self._waiting: asyncio.Queue[Object] = asyncio.Queue(maxsize=MAXIMUM_WAITING)

    def record(self, job: PaftJobRecord, event: Event) -> None:
        """Tell an event of a PaftJob, soon, and once however often it is recorded."""
        manifest = event_manifest(job, event, instance=self._instance, now=datetime.now(UTC))
        if not self._is_new(manifest["metadata"]["name"]):
            return
        logger.info("%s: %s", event.reason, event.message)
        try:
            self._waiting.put_nowait(manifest)
        except asyncio.QueueFull:
            logger.error("too many events are waiting; lost: %s: %s", event.reason, event.message)

    def _is_new(self, name: str) -> bool:
        is_new = name not in self._recorded
        self._recorded[name] = None
        self._recorded.move_to_end(name)
        if len(self._recorded) > MAXIMUM_REMEMBERED:
            self._recorded.popitem(last=False)
        return is_new

    async def run(self) -> None:
        """Send events until cancelled."""
        while True:
            await self._send(await self._waiting.get())

    async def _send(self, manifest: Object) -> None:
        for attempt in range(_TRIES):
            try:
                await self._client.create(EVENTS, manifest)
            except ApiError as error:
                if error.is_conflict:
                    return
                if not error.is_transient:
                    logger.error("event %s was refused: %s", manifest["reason"], error)
                    return
                await asyncio.sleep(max(2.0**attempt, error.retry_after))
            except ClusterError:
                await asyncio.sleep(2.0**attempt)
            else:
                return
        logger.error("event could not be sent: %s: %s", manifest["reason"], manifest["note"])


def event_manifest(job: PaftJobRecord, event: Event, *, instance: str, now: datetime) -> Object:
    """The Event. Its name is the same for the same event of the same generation of the same PaftJob."""
    identity = "\n".join((job.uid, str(job.generation), event.reason, event.message))
    return {
        "apiVersion": EVENTS.api_version,
        "kind": EVENTS.kind,
        "metadata": {
            "name": f"{job.name}.{hashlib.sha256(identity.encode()).hexdigest()[:16]}",
            "namespace": job.namespace,
        },
        "eventTime": now.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "reportingController": "paft.dev/paft-operator",
        "reportingInstance": instance[:128],
        "action": "Reconcile",
        "reason": event.reason,
        "note": event.message[:MAXIMUM_NOTE],
        "type": event.type,
        "regarding": {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "namespace": job.namespace,
            "name": job.name,
            "uid": job.uid,
        },
    }

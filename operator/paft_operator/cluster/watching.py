"""Watches of PaftJobs and their objects through kopf, in a thread of its own.

kopf does the watching only: its handlers turn objects into records and hand them over. It sets no finalizer, no
annotation and no status. Its own loop keeps its stop, which waits for every task of a loop, away from ours.
"""

import asyncio
import itertools
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import kopf
from kopf._core.reactor.inventory import ResourceMemories, ResourceMemory

from paft_api import labels
from paft_operator.cluster.api_client import PAGE_SIZE
from paft_operator.cluster.connection import Connection
from paft_operator.cluster.index import Index
from paft_operator.cluster.resources import CONFIG_MAPS, JOBS, PAFT_JOBS, PODS, Object, Resource
from paft_operator.observing.parsing import config_map_record, job_record, paft_job_record, pod_record
from paft_operator.observing.records import Record

logger = logging.getLogger(__name__)

SELECTOR = f"{labels.MANAGED_BY}=paft-operator,{labels.JOB_NAME}"
"""Labels of all objects that are watched, but PaftJobs."""

Parser = Callable[[Object], Record | None]
WATCHED: dict[Resource, Parser] = {
    PAFT_JOBS: paft_job_record,
    JOBS: job_record,
    PODS: pod_record,
    CONFIG_MAPS: config_map_record,
}
"""What is watched, and how it is read."""

RESTART_SECONDS = 1.0
_BACKOFFS = (0.1, 0.2, 0.5, 1.0, 2.0)
_LONGEST_BACKOFF = 5.0

Change = tuple[Record, bool]
"""A record, and whether its object was deleted."""


class Watches:
    """Tells every change of a watched object to `on_change`, in the event loop in which it was started.

    `on_failure` is called, in the watches' own thread, when they had to be started anew.
    """

    def __init__(
        self,
        connection: Connection,
        index: Index,
        *,
        namespaces: Sequence[str],
        on_change: Callable[[Change], None],
        on_failure: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._index = index
        self._namespaces = tuple(namespaces)
        self._on_change = on_change
        self._on_failure = on_failure
        self._changes: deque[Change] = deque()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watches", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end; it ends with the process if not before."""
        self._stop.set()

    @property
    def is_alive(self) -> bool:
        """Whether the thread lives."""
        return self._thread.is_alive()

    def _watch(self) -> None:
        while not self._stop.is_set():
            try:
                asyncio.run(self._run_kopf())
            except Exception:
                self._on_failure()
                logger.exception("the watches have failed and are started anew")
            self._stop.wait(RESTART_SECONDS)

    async def _run_kopf(self) -> None:
        await kopf.operator(
            registry=self._registry(),
            settings=_settings(),
            memories=_NoMemories(),
            clusterwide=not self._namespaces,
            namespaces=self._namespaces,
            standalone=True,
            stop_flag=self._stop,
        )

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()

        @kopf.on.login(registry=registry)
        def log_in(**_: Any) -> kopf.ConnectionInfo:
            self._connection.read_again()
            return self._connection.info

        for resource, parser in WATCHED.items():
            group, _, version = resource.api_version.rpartition("/")
            kopf.on.event(group, version, resource.plural, registry=registry, id=resource.plural)(self._handler(parser))
        return registry

    def _handler(self, parser: Parser) -> Any:
        async def hand_over(event: Any, **_: Any) -> None:
            self._hand_over(parser, event)

        return hand_over

    def _hand_over(self, parser: Parser, event: Any) -> None:
        record = parser(event["object"])
        if record is None:
            return
        is_deleted = event["type"] == "DELETED"
        if self._index.is_news(record, deleted=is_deleted):
            self._changes.append((record, is_deleted))
            self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        while self._changes:
            self._on_change(self._changes.popleft())


class _NoMemories(ResourceMemories):
    """kopf remembers things per object for handlers that we do not have."""

    async def recall(self, raw_body: Any, **options: Any) -> ResourceMemory:
        return await super().recall(raw_body, **(options | {"ephemeral": True}))


class _NoDiffs(kopf.DiffBaseStorage):
    """kopf compares each object with what it was, for handlers that we do not have."""

    def build(self, **_: Any) -> Any:
        return {}

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        return None


class _Backoffs:
    """Endless: watches that cannot be had now can be had later."""

    def __iter__(self) -> Iterator[float]:
        return itertools.chain(_BACKOFFS, itertools.repeat(_LONGEST_BACKOFF))


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.peering.standalone = True
    settings.persistence.diffbase_storage = _NoDiffs()
    settings.process.ultimate_exiting_timeout = None
    # kopf keeps an object in memory for as long: with thousands of them in a list that adds up.
    settings.queueing.idle_timeout = 0.1
    settings.watching.chunk_size = PAGE_SIZE
    settings.networking.error_backoffs = _Backoffs()
    settings.networking.request_timeout = 60.0
    settings.networking.connect_timeout = 10.0
    for resource in WATCHED:
        if resource is not PAFT_JOBS:
            group, _, version = resource.api_version.rpartition("/")
            settings.watching.label_selectors[group, version, resource.plural] = SELECTOR
    return settings

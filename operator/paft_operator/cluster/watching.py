"""Watches of PaftJobs and their objects through kopf, in a thread of its own.

kopf does the watching only: its handlers turn objects into records and hand them over. It sets no finalizer, no
annotation and no status. Its own loop keeps its stop, which waits for every task of a loop, away from ours.
"""

import asyncio
import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import kopf
from kopf._core.engines.peering import Identity
from kopf._core.reactor.inventory import ResourceMemories, ResourceMemory

from paft_api import labels
from paft_operator.cluster.api_client import PAGE_SIZE
from paft_operator.cluster.connection import Connection
from paft_operator.cluster.index import Index
from paft_operator.cluster.resources import CONFIG_MAPS, JOB_SETS, JOBS, PAFT_JOBS, PODS, Object, Resource
from paft_operator.observing.parsing import (
    config_map_record,
    job_record,
    job_set_record,
    paft_job_record,
    pod_record,
)
from paft_operator.observing.records import JobKey, Record

logger = logging.getLogger(__name__)

SELECTOR = f"{labels.MANAGED_BY}=paft-operator,{labels.JOB_NAME}"
"""Labels of all objects that are watched, but PaftJobs."""

Parser = Callable[[Object], Record | None]
WATCHED: dict[Resource, Parser] = {
    PAFT_JOBS: paft_job_record,
    JOB_SETS: job_set_record,
    JOBS: job_record,
    PODS: pod_record,
    CONFIG_MAPS: config_map_record,
}
"""What is watched, and how it is read. JobSets only where they are installed."""


def watched(*, has_job_sets: bool) -> tuple[Resource, ...]:
    """What there is to watch in a cluster."""
    return tuple(resource for resource in WATCHED if has_job_sets or resource is not JOB_SETS)


RESTART_SECONDS = 1.0
STEADY_SECONDS = 60.0
"""Watches that worked for so long have not failed at once."""
MOST_FAILURES = 5
"""So often in a row they may fail at once."""
_BACKOFFS = (0.1, 0.2, 0.5, 1.0, 2.0)
_LONGEST_BACKOFF = 5.0

Change = tuple[Record, bool]
"""A record, and whether its object was deleted."""


class Watches:
    """Tells every change of a watched object to `on_change`, in the event loop in which it was started.

    `on_failure` is called, in the watches' own thread, when they have failed. They are started anew, but not where they
    fail at once again and again: then the thread ends.
    """

    def __init__(
        self,
        connection: Connection,
        index: Index,
        *,
        resources: Sequence[Resource],
        namespaces: Sequence[str],
        on_change: Callable[[Change], None],
        on_failure: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._index = index
        self._resources = tuple(resources)
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
        failures = 0
        while not self._stop.is_set() and failures < MOST_FAILURES:
            began = time.monotonic()
            try:
                asyncio.run(self._run_kopf())
            except Exception:
                self._on_failure()
                failures = failures + 1 if time.monotonic() - began < STEADY_SECONDS else 1
                logger.exception("the watches have failed")
            self._stop.wait(RESTART_SECONDS)

    async def _run_kopf(self) -> None:
        await kopf.operator(
            registry=self._registry(),
            settings=_settings(),
            memories=_NoMemories(),
            clusterwide=not self._namespaces,
            namespaces=self._namespaces,
            standalone=True,
            # It would ask for the user's name otherwise, which a user id in a container does not have.
            identity=Identity("paft-operator"),
            stop_flag=self._stop,
        )

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()

        @kopf.on.login(registry=registry)
        def log_in(**_: Any) -> kopf.ConnectionInfo:
            self._connection.read_again()
            return self._connection.info

        for resource in self._resources:
            group, _, version = resource.api_version.rpartition("/")
            handler = self._handler(WATCHED[resource])
            kopf.on.event(group, version, resource.plural, registry=registry, id=resource.plural)(handler)
        return registry

    def _handler(self, parser: Parser) -> Any:
        async def hand_over(event: Any, **_: Any) -> None:
            self._hand_over(parser, event)

        return hand_over

    def _hand_over(self, parser: Parser, event: Any) -> None:
        manifest, is_deleted = event["object"], event["type"] == "DELETED"
        if parser is paft_job_record and not is_deleted and self._is_own_echo(manifest["metadata"]):
            return
        record = parser(manifest)
        if record is None:
            return
        if self._index.is_news(record, deleted=is_deleted):
            self._changes.append((record, is_deleted))
            # A loop that is closed already takes nothing: the process ends.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._deliver)

    def _is_own_echo(self, metadata: Object) -> bool:
        """Most events of PaftJobs tell a status that was written here: reading them would be half of all reading."""
        return self._index.has_paft_job(
            JobKey(metadata["namespace"], metadata["name"]), int(metadata["resourceVersion"])
        )

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

"""The operator as a process: serve, wait for leadership, list, watch, reconcile, and stop cleanly."""

import asyncio
import logging
import signal
from contextlib import suppress
from importlib.metadata import version

from paft_operator.cluster.api_client import ApiClient
from paft_operator.cluster.cluster_host import ClusterHost
from paft_operator.cluster.connection import Connection
from paft_operator.cluster.errors import ClusterError
from paft_operator.cluster.event_recorder import EventRecorder
from paft_operator.cluster.index import Index
from paft_operator.cluster.lease import Lease, LeaseSettings
from paft_operator.cluster.live_objects import LiveObjects
from paft_operator.cluster.resources import JOB_SETS, PAFT_JOBS
from paft_operator.cluster.watching import Change, Watches, watched
from paft_operator.manifests.settings import ManifestSettings
from paft_operator.observing.records import JobKey
from paft_operator.reconciling.reconciler import Reconciler
from paft_operator.reconciling.resync import Resync
from paft_operator.reconciling.status_writer import StatusWriter
from paft_operator.reconciling.work_queue import WorkQueue
from paft_operator.reconciling.workers import Workers
from paft_operator.serving.endpoints import endpoints
from paft_operator.serving.health import Health
from paft_operator.serving.metrics import Metrics
from paft_operator.settings import OperatorSettings

logger = logging.getLogger(__name__)

EXIT_STOPPED = 0
EXIT_FAILED = 1
"""Also for lost leadership: the process is started anew and waits for its turn."""

_CRD_SECONDS = 2.0
_LOOK_SECONDS = 5.0
_JOB_SETS_SECONDS = 30.0
_FIRST_LOOKS_SECONDS = 30.0
"""Time for the first look at every PaftJob, after which watches begin beside it."""


class CannotGoOn(Exception):
    """The process has to be started anew. `str()` says why."""


class OperatorProcess:
    """All parts of one operator, and their order. Made and run in one event loop."""

    def __init__(self, settings: OperatorSettings) -> None:
        self._settings = settings
        self._queue: WorkQueue[JobKey] = WorkQueue(longest_pause=settings.retry_longest)
        self._index = Index(on_output_change=self._queue.add)
        self._health = Health()
        self._metrics = Metrics(version=version("paft"), queue_depth=lambda: len(self._queue))
        self._first_lists = asyncio.Event()
        self._watching = asyncio.Event()
        self._has_job_sets = False
        self._connection = Connection()
        election = ApiClient(self._connection, timeout_seconds=settings.lease_retry_interval)
        self._lease = Lease(election, _lease_settings(settings, self._connection.namespace))
        guard = self._lease.require if settings.leader_election else _no_guard
        client = ApiClient(self._connection, timeout_seconds=settings.request_timeout, before_write=guard)
        self._clients = (election, client)
        self._client = client

    async def run(self) -> int:
        """Run until SIGTERM, or until something fails for good; the exit code."""
        stopping = _stop_signal()
        settings = self._settings
        async with endpoints(self._health, self._metrics, address=settings.listen_address, port=settings.listen_port):
            work = asyncio.create_task(self._work(), name="work")
            stop = asyncio.create_task(stopping.wait(), name="stop")
            await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
            exit_code = EXIT_FAILED if work.done() else EXIT_STOPPED
            await _end(work, stop)
            await self._lease.release()
        for client in self._clients:
            await client.close()
        return exit_code

    async def _work(self) -> None:
        """Wait for what is needed, then lead. Never returns: it is cancelled, or raises."""
        await self._wait_for_definition()
        self._has_job_sets = await self._is_job_set_served()
        if self._settings.leader_election:
            self._health.not_ready = ""
            await self._lease.acquire()
        self._health.not_ready = "the first lists are not in yet"
        self._metrics.leading(True)
        await self._lead()

    async def _lead(self) -> None:
        settings = self._settings
        events = EventRecorder(self._client, instance=settings.identity)
        resync = Resync(
            self._client,
            self._index,
            self._queue,
            resources=watched(has_job_sets=self._has_job_sets),
            namespaces=settings.namespaces,
            interval=settings.resync_interval,
        )
        workers = Workers(
            count=settings.workers,
            queue=self._queue,
            index=self._index,
            reconcile=self._reconciler(events).reconcile,
            metrics=self._metrics,
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(self._hold_lease(), name="lease")
            group.create_task(resync.run(self._first_lists, self._watching), name="resync")
            group.create_task(self._require_first_lists(), name="first-lists")
            group.create_task(self._watch(), name="watches")
            group.create_task(self._look_for_job_sets(), name="job-sets")
            group.create_task(workers.run(self._first_lists), name="workers")
            group.create_task(events.run(), name="events")

    def _reconciler(self, events: EventRecorder) -> Reconciler:
        settings = self._settings
        live = LiveObjects(self._client, self._index, has_job_sets=self._has_job_sets)
        manifests = ManifestSettings(trainer_image=settings.trainer_image, has_job_sets=self._has_job_sets)
        return Reconciler(
            index=self._index,
            live=live,
            host=ClusterHost(self._client, live, manifests),
            statuses=StatusWriter(self._client, live, progress_interval=settings.progress_interval),
            events=events,
            metrics=self._metrics,
            first_retry_seconds=settings.first_retry_interval,
        )

    async def _watch(self) -> None:
        """Begin after what the first lists tell: kopf lists everything too, and tells what has changed since."""
        await self._first_lists.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_LOOKS_SECONDS):
                await self._queue.drained()
        watches = Watches(
            self._connection,
            self._index,
            resources=watched(has_job_sets=self._has_job_sets),
            namespaces=self._settings.namespaces,
            on_change=self._take,
            on_failure=self._metrics.watch_failures.inc,
        )
        watches.start()
        self._watching.set()
        try:
            while watches.is_alive:
                await asyncio.sleep(_LOOK_SECONDS)
            raise CannotGoOn("the watches have ended")
        finally:
            watches.stop()

    def _take(self, change: Change) -> None:
        """What a watch tells."""
        record, is_deleted = change
        key = self._index.remove(record) if is_deleted else self._index.put(record)
        if key is not None:
            self._queue.add(key)

    async def _is_job_set_served(self) -> bool:
        """Asked again until there is an answer."""
        while True:
            try:
                return await self._client.is_served(JOB_SETS)
            except ClusterError as error:
                logger.error("the API server cannot be asked for JobSets: %s", error)
                await asyncio.sleep(_CRD_SECONDS)

    async def _look_for_job_sets(self) -> None:
        """kopf would never watch what is installed after its start, nor cease to watch what is gone."""
        while True:
            await asyncio.sleep(_JOB_SETS_SECONDS)
            with suppress(ClusterError):
                if await self._client.is_served(JOB_SETS) != self._has_job_sets:
                    raise CannotGoOn(f"JobSet has {'gone' if self._has_job_sets else 'come'}")

    async def _wait_for_definition(self) -> None:
        """kopf would never watch a kind of object that is defined after its start."""
        while True:
            try:
                if await self._client.is_served(PAFT_JOBS):
                    return
                why = f"the CustomResourceDefinition of {PAFT_JOBS.plural} ({PAFT_JOBS.api_version}) is not installed"
            except ClusterError as error:
                why = f"the API server cannot be asked: {error}"
            if why != self._health.not_ready:
                logger.error("not ready: %s", why)
            self._health.not_ready = why
            await asyncio.sleep(_CRD_SECONDS)

    async def _require_first_lists(self) -> None:
        deadline = self._settings.first_lists_deadline
        try:
            async with asyncio.timeout(deadline):
                await self._first_lists.wait()
        except TimeoutError:
            raise CannotGoOn(f"not everything could be listed within {deadline} s") from None
        self._health.not_ready = ""
        logger.info("all objects are listed: %d PaftJobs", self._index.size)

    async def _hold_lease(self) -> None:
        if self._settings.leader_election:
            await self._lease.hold()
            raise CannotGoOn("leadership is lost")


def _lease_settings(settings: OperatorSettings, own_namespace: str) -> LeaseSettings:
    return LeaseSettings(
        namespace=settings.lease_namespace or own_namespace,
        name=settings.lease_name,
        identity=settings.identity,
        duration=settings.lease_duration,
        renew_deadline=settings.lease_renew_deadline,
        retry_interval=settings.lease_retry_interval,
    )


def _no_guard() -> None:
    """A single operator may always write."""


def _stop_signal() -> asyncio.Event:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    return stopping


async def _end(*tasks: asyncio.Task[object]) -> None:
    """Cancel what still runs; tell why what has ended did."""
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception):
            logger.error("the operator ends: %s", _first_reason(result), exc_info=result)


def _first_reason(error: BaseException) -> BaseException:
    return _first_reason(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error

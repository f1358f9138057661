"""Workers take keys from the queue and reconcile them. Whatever goes wrong is logged, counted and tried again."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from paft_operator.cluster.errors import ClusterError, NotLeading, Outdated
from paft_operator.cluster.index import Index
from paft_operator.observing.records import JobKey
from paft_operator.reconciling.work_queue import WorkQueue
from paft_operator.serving.json_logs import about
from paft_operator.serving.metrics import Metrics

logger = logging.getLogger(__name__)

Reconcile = Callable[[JobKey], Awaitable[float | None]]


class Workers:
    """`count` of them, once `ready` is set."""

    def __init__(
        self, *, count: int, queue: WorkQueue[JobKey], index: Index, reconcile: Reconcile, metrics: Metrics
    ) -> None:
        self._count = count
        self._queue = queue
        self._index = index
        self._reconcile = reconcile
        self._metrics = metrics

    async def run(self, ready: asyncio.Event) -> None:
        """Work until cancelled."""
        await ready.wait()
        async with asyncio.TaskGroup() as group:
            for number in range(self._count):
                group.create_task(self._work(), name=f"worker-{number}")

    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            try:
                with about(namespace=key.namespace, name=key.name, uid=self._uid(key)):
                    await self._reconcile_once(key)
            finally:
                self._queue.done(key)

    async def _reconcile_once(self, key: JobKey) -> None:
        began = time.perf_counter()
        try:
            again_after = await self._reconcile(key)
        except Outdated as error:
            self._try_again(key, error)
        except NotLeading:
            self._metrics.reconciled(time.perf_counter() - began, error="NotLeading")
            logger.warning("left alone: this process does not lead")
        except ClusterError as error:
            self._metrics.reconciled(time.perf_counter() - began, error=type(error).__name__)
            pause = self._try_again(key, error)
            logger.warning("could not be reconciled, next try in %.1f s: %s", pause, error)
        except Exception as error:
            # A fault of ours: it must neither end the worker nor vanish.
            self._metrics.reconciled(time.perf_counter() - began, error=type(error).__name__)
            pause = self._queue.add_rate_limited(key)
            logger.exception("could not be reconciled, next try in %.1f s", pause)
        else:
            self._metrics.reconciled(time.perf_counter() - began, error="")
            self._queue.forget_failures(key)
            if again_after is not None:
                self._queue.add_after(key, again_after)
            elif self._index.known(key) is None:
                self._queue.forget(key)

    def _try_again(self, key: JobKey, error: ClusterError) -> float:
        return self._queue.add_rate_limited(key, at_least=error.retry_after)

    def _uid(self, key: JobKey) -> str:
        known = self._index.known(key)
        return known.paft_job.uid if known is not None and known.paft_job is not None else ""

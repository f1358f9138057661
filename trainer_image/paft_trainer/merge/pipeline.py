"""Threads that compute, threads that read ahead, and results in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

Result = TypeVar("Result")

READERS = 4
"""Reads under way at once: an object store answers after some milliseconds, whatever is asked for."""


class Pipeline:
    """Computing threads take what is submitted in its order, so that a task may wait for one before it.

    `workers`: computing threads. `ahead`: results that may wait to be taken. Kernels and reads leave the interpreter to
    others, so that threads are enough.
    """

    def __init__(self, *, workers: int, ahead: int) -> None:
        self._ahead = ahead
        self._workers = ThreadPoolExecutor(workers, thread_name_prefix="merge")
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="read")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pool in (self._readers, self._workers):
            pool.shutdown(wait=True, cancel_futures=True)

    def compute(self, task: Callable[[], Result]) -> "Future[Result]":
        """Have it computed."""
        return self._workers.submit(task)

    def read(self, task: Callable[[], Result]) -> "Future[Result]":
        """Have it read."""
        return self._readers.submit(task)

    def in_order(self, futures: Iterable["Future[Result]"]) -> Iterator[Result]:
        """Results of what an iterator submits as it is asked for more; at most `ahead` wait to be taken."""
        waiting: deque[Future[Result]] = deque()
        for future in futures:
            waiting.append(future)
            if len(waiting) > self._ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

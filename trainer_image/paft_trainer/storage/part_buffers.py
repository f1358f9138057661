"""Memory and threads that all streamed writes of one store share."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Result = TypeVar("Result")

UPLOADS_AT_ONCE = 8
BYTES_UNDER_WAY = 64 * 1024 * 1024
"""Of parts that are being sent, over all writers. Each writer fills one part more."""


class PartBuffers:
    """Buffers are used again, so that their pages are. A part that is larger than the bound is sent alone."""

    def __init__(self, *, bytes_under_way: int = BYTES_UNDER_WAY) -> None:
        self._threads = ThreadPoolExecutor(UPLOADS_AT_ONCE, "paft-upload")
        self._bytes_under_way = bytes_under_way
        self._under_way = 0
        self._changed = threading.Condition()
        self._free: list[bytearray] = []

    def take(self, size: int) -> bytearray:
        """A buffer of `size` bytes whose content is undefined; never waits, so that no writers wait for each other."""
        with self._changed:
            fitting = next((buffer for buffer in self._free if len(buffer) == size), None)
            if fitting is not None:
                self._free.remove(fitting)
                return fitting
        return bytearray(size)

    def give_back(self, buffer: bytearray) -> None:
        """For the next part of its size; let go where enough of them are kept."""
        with self._changed:
            self._free.insert(0, buffer)
            while sum(len(kept) for kept in self._free) > self._bytes_under_way:
                self._free.pop()

    def submit(self, send: Callable[[], Result], size: int) -> "Future[Result]":
        """Send a part of `size` bytes in the background; waits while too many bytes are under way."""
        with self._changed:
            self._changed.wait_for(lambda: self._under_way == 0 or self._under_way + size <= self._bytes_under_way)
            self._under_way += size
        return self._threads.submit(self._counted, send, size)

    def _counted(self, send: Callable[[], Result], size: int) -> Result:
        with self._leaving(size):
            return send()

    @contextmanager
    def _leaving(self, size: int) -> Iterator[None]:
        try:
            yield
        finally:
            with self._changed:
                self._under_way -= size
                self._changed.notify_all()

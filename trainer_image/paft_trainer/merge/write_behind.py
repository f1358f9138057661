"""Files of one folder, hashed and written by a thread of their own while others are computed."""

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from paft_trainer.publishing import write_hashed
from paft_trainer.storage import ObjectStore

QUEUED_CHUNKS = 4
"""Chunks that wait to be written."""


@dataclass(frozen=True, slots=True)
class _Begin:
    uri: str


@dataclass(frozen=True, slots=True)
class _End:
    written: Callable[[int, str], None]


_Item = _Begin | _End | bytes | memoryview | None
"""None: there is nothing more."""


class Abandoned(Exception):
    """Whoever wrote has failed: what was begun is not to become visible."""


class WriteBehind:
    """Objects begin, take chunks and end one after another. Errors come up at the next call, or at the end."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._queue: queue.Queue[_Item] = queue.Queue(QUEUED_CHUNKS)
        self._error: BaseException | None = None
        self._is_over = False
        self._thread = threading.Thread(target=self._run, name="write", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._queue.put(None)
        self._thread.join()
        if kind is None:
            self._raise_error()

    def begin(self, uri: str) -> None:
        """The next chunks belong to this object."""
        self._put(_Begin(uri))

    def write(self, chunk: bytes | memoryview) -> None:
        """Append to it; waits while too much is queued."""
        self._put(chunk)

    def end(self, written: Callable[[int, str], None]) -> None:
        """It is complete. `written`: called in the writing thread with its size and SHA-256 once it is visible."""
        self._put(_End(written))

    def _put(self, item: _Item) -> None:
        self._raise_error()
        self._queue.put(item)

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            while isinstance(item := self._next(), _Begin):
                chunks = _Chunks(self._next)
                size, sha256 = write_hashed(self._store, item.uri, chunks)
                assert chunks.end is not None
                chunks.end.written(size, sha256)
        except Abandoned:
            return
        except BaseException as error:  # noqa: BLE001 — raised again in the thread that writes through this one
            self._error = error
            # What gives up a begun object may fail in its turn, when there is nothing to wait for any more.
            while not self._is_over:
                self._next()

    def _next(self) -> _Item:
        item = self._queue.get()
        self._is_over = item is None
        return item


class _Chunks:
    """Chunks of one object, up to its end."""

    def __init__(self, take: Callable[[], _Item]) -> None:
        self._take = take
        self.end: _End | None = None

    def __iter__(self) -> Iterator[bytes | memoryview]:
        while not isinstance(item := self._take(), _End):
            if item is None:
                raise Abandoned()
            assert not isinstance(item, _Begin)
            yield item
        self.end = item

"""Reading files in pieces while the piece before is worked on; several files at a time, in bounded memory."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

from paft_trainer.storage import ObjectStore

CHUNK_BYTES = 8 * 1024 * 1024
FILES_AT_ONCE = 4
"""Each holds up to three chunks, 96 MiB in all. SHA-256 of one core is slower than most disks and networks."""


class ReadAhead:
    """A context in which files are read. `on_bytes` hears, from several threads, how many were read now."""

    def __init__(self, store: ObjectStore, *, on_bytes: Callable[[int], None] = lambda count: None) -> None:
        self.store = store
        self._on_bytes = on_bytes
        self._reads = ThreadPoolExecutor(FILES_AT_ONCE, "paft-read")

    def chunks(self, uri: str, start: int, size: int, *, etag: str | None = None) -> Iterator[bytes]:
        """`size` bytes from `start`, in pieces of at most CHUNK_BYTES; up to three are in memory at a time.

        `etag`: of the content that is meant, where one is; raises ObjectChanged where it is another.
        """
        end = start + size
        pending = None
        while start < end:
            length = min(CHUNK_BYTES, end - start)
            following = self._reads.submit(self.store.read_range, uri, start, length, etag=etag)
            if pending is not None:
                yield self._heard(pending.result())
            pending = following
            start += length
        if pending is not None:
            yield self._heard(pending.result())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._reads.shutdown(cancel_futures=True)

    def _heard(self, chunk: bytes) -> bytes:
        self._on_bytes(len(chunk))
        return chunk

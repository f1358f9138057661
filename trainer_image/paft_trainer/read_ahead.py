"""Reading a file in pieces while the piece before is worked on."""

from collections.abc import Iterator
from concurrent.futures import Executor

from paft_trainer.storage import ObjectStore

CHUNK_BYTES = 8 * 1024 * 1024


def read_ahead(store: ObjectStore, uri: str, start: int, size: int, *, reads: Executor) -> Iterator[bytes]:
    """`size` bytes from `start`, in pieces of at most CHUNK_BYTES; two of them are in memory at a time.

    `reads` does the reading; it must not be the executor that this is called in, whose tasks would wait for themselves.
    """
    end = start + size
    pending = None
    while start < end:
        length = min(CHUNK_BYTES, end - start)
        following = reads.submit(store.read_range, uri, start, length)
        if pending is not None:
            yield pending.result()
        pending = following
        start += length
    if pending is not None:
        yield pending.result()

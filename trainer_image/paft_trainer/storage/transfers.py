"""Whole objects to and from local files, several parts at once, in bounded memory."""

import os
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path

from paft_trainer.storage.errors import ObjectMissing
from paft_trainer.storage.object_store import ObjectStore

CHUNK_BYTES = 8 * 1024 * 1024
CHUNKS_AT_ONCE = 8
WRITE_BYTES = 256 * 1024
"""Given to the kernel at once: several threads that write megabytes into one file cost twice the CPU seconds."""


def download(store: ObjectStore, uri: str, path: Path) -> int:
    """Write an object to a file that must not exist; returns its size in bytes.

    The object is that of one moment. Raises ObjectMissing, ObjectChanged; then the file holds part of it.
    """
    info = store.head(uri)
    if info is None:
        raise ObjectMissing(f"{uri}: there is no such object", remedy="Check the address.")
    with path.open("xb") as file, ThreadPoolExecutor(CHUNKS_AT_ONCE, "paft-download") as threads:
        file.truncate(info.size)

        def fetch(start: int) -> None:
            length = min(CHUNK_BYTES, info.size - start)
            _write_at(file.fileno(), start, store.read_range(uri, start, length, etag=info.etag))

        chunks = [threads.submit(fetch, start) for start in range(0, info.size, CHUNK_BYTES)]
        try:
            wait(chunks, return_when=FIRST_EXCEPTION)
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
        for chunk in chunks:
            if not chunk.cancelled():
                chunk.result()
    return info.size


def upload(store: ObjectStore, path: Path, uri: str) -> int:
    """Write a file to an object; returns its size in bytes."""
    size = 0
    with store.open_writer(uri) as writer:
        for chunk in _chunks_of(path):
            writer.write(chunk)
            size += len(chunk)
    return size


def _chunks_of(path: Path) -> Iterator[memoryview]:
    buffer = memoryview(bytearray(CHUNK_BYTES))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            yield buffer[:count]


def _write_at(descriptor: int, start: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        written = os.pwrite(descriptor, view[:WRITE_BYTES], start)
        view, start = view[written:], start + written

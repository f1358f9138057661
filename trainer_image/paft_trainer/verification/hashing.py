"""Sizes and SHA-256 of many files, several at a time, in bounded memory."""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from paft_trainer.read_ahead import FILES_AT_ONCE, ReadAhead
from paft_trainer.storage import ObjectInfo, ObjectStore
from paft_trainer.verification.comparison import FileIdentity


def hash_files(
    store: ObjectStore, infos: Sequence[ObjectInfo], *, on_bytes: Callable[[int], None]
) -> dict[str, FileIdentity]:
    """Identities by URI. `on_bytes` hears, from several threads, how many were read now."""
    with ReadAhead(store, on_bytes=on_bytes) as reads, ThreadPoolExecutor(FILES_AT_ONCE, "paft-hash") as hashes:
        futures = {info.uri: hashes.submit(_hash_file, reads, info) for info in infos}
        try:
            return {uri: future.result() for uri, future in futures.items()}
        finally:
            hashes.shutdown(wait=False, cancel_futures=True)


def _hash_file(reads: ReadAhead, info: ObjectInfo) -> FileIdentity:
    digest = hashlib.sha256()
    for chunk in reads.chunks(info.uri, 0, info.size):
        digest.update(chunk)
    return FileIdentity(size=info.size, sha256=digest.hexdigest())

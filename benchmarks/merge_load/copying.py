"""`python -m benchmarks.merge_load.copying SOURCE TARGET [ENDPOINT]`: the floor, every file copied with its SHA-256.

Folders are URIs. Files go through one buffer of 16 MiB, are flushed to the disk and renamed, as a merge's are, with
nothing of ours in the way; objects go through the trainer's own store, whose reads and uploads a merge's are, too.
"""

import hashlib
import os
import sys
from pathlib import Path
from urllib.parse import unquote

PIECE_BYTES = 16 * 1024 * 1024


def copy_files(source: Path, target: Path) -> None:
    """Copy every file of a folder into a new one."""
    target.mkdir(parents=True)
    buffer = bytearray(PIECE_BYTES)
    view = memoryview(buffer)
    for path in sorted(source.iterdir()):
        digest = hashlib.sha256()
        unfinished = target / f".{path.name}"
        with path.open("rb", buffering=0) as read, unfinished.open("wb", buffering=0) as written:
            while count := read.readinto(buffer):
                digest.update(view[:count])
                written.write(view[:count])
            os.fsync(written.fileno())
        unfinished.rename(target / path.name)
        print(digest.hexdigest(), path.name)


def copy_objects(source: str, target: str, endpoint: str) -> None:
    """Copy every object under a prefix."""
    from paft_api.spec.storage import StorageSpec
    from paft_trainer.publishing import write_hashed
    from paft_trainer.safetensors_files import read_chunks
    from paft_trainer.storage import open_store

    store = open_store(StorageSpec(artifacts_uri=target, endpoint=endpoint))
    for info in store.list(source):
        name = info.uri.removeprefix(source)
        chunks = read_chunks(store, info.uri, 0, info.size, chunk_bytes=PIECE_BYTES)
        _, digest = write_hashed(store, target + name, chunks)
        print(digest, name)


if __name__ == "__main__":
    if sys.argv[1].startswith("file://"):
        copy_files(*(Path(unquote(uri.removeprefix("file://"))) for uri in sys.argv[1:3]))
    else:
        copy_objects(*sys.argv[1:4])

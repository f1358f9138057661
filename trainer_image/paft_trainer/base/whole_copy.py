"""Verified local copies of bases, shared by stages and attempts on one machine."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from paft_trainer.base.index import CHUNK_BYTES, BaseFile, BaseIndex
from paft_trainer.errors import ArtifactMismatch
from paft_trainer.safetensors_files import read_chunks
from paft_trainer.storage import ObjectStore
from paft_trainer.storage.file_store import path_of


def cached_base(store: ObjectStore, base_uri: str, index: BaseIndex, cache_directory: Path) -> Path:
    """A local folder with the base's files, every byte of which has been compared with the index.

    Downloaded once, however many processes ask at once. A `file://` base is used where it lies. Raises ArtifactMismatch
    where a file is not what the index says.
    """
    if base_uri.startswith("file://"):
        return path_of(base_uri)
    name = index.digest.removeprefix("sha256:")
    folder = cache_directory / name
    cache_directory.mkdir(parents=True, exist_ok=True)
    with _lock(cache_directory / f"{name}.lock"):
        if not folder.is_dir():
            _download(store, base_uri, index, cache_directory / f"{name}.partial", folder)
    return folder


def _download(store: ObjectStore, base_uri: str, index: BaseIndex, partial: Path, folder: Path) -> None:
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    for file in index.files:
        _fetch(store, base_uri + file.name, file, partial / file.name)
    os.replace(partial, folder)


def _fetch(store: ObjectStore, uri: str, file: BaseFile, path: Path) -> None:
    digest = hashlib.sha256()
    with path.open("wb") as target:
        for chunk in read_chunks(store, uri, 0, file.size, chunk_bytes=CHUNK_BYTES):
            digest.update(chunk)
            target.write(chunk)
    if digest.hexdigest() != file.sha256:
        raise ArtifactMismatch(
            f"{uri} has changed since it was indexed", remedy="Start the job again; do not write to a base in use."
        )


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

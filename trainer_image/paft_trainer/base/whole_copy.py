"""A base as a folder on this machine, for readers that need one; shared by stages and attempts."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from paft_trainer.base.kept_index import BaseFile, BaseIndex
from paft_trainer.base.piece_index import IndexedFile
from paft_trainer.base.piece_source import PieceSource
from paft_trainer.errors import ArtifactMismatch
from paft_trainer.storage import ObjectStore
from paft_trainer.storage.file_store import path_of


def whole_copy(store: ObjectStore, base_uri: str, index: BaseIndex, pieces: PieceSource, cache_directory: Path) -> Path:
    """A local folder with the base's files, every byte of which has been compared with the index.

    Made once, however many processes ask at once; weights come from `pieces`, so from the node's cache where there is
    one. A `file://` base is used where it lies, unverified. Raises ArtifactMismatch where a file is not what the index
    says, and ObjectChanged.
    """
    if base_uri.startswith("file://"):
        return path_of(base_uri)
    name = index.digest.removeprefix("sha256:")
    folder = cache_directory / name
    cache_directory.mkdir(parents=True, exist_ok=True)
    with _lock(cache_directory / f"{name}.lock"):
        if not folder.is_dir():
            _copy(store, base_uri, index, pieces, cache_directory / f"{name}.partial", folder)
    return folder


def _copy(
    store: ObjectStore, base_uri: str, index: BaseIndex, pieces: PieceSource, partial: Path, folder: Path
) -> None:
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    for file in index.files:
        weights = pieces.index.files.get(file.name)
        if weights is None:
            (partial / file.name).write_bytes(read_file(store, base_uri, file))
        else:
            _copy_weights(store, base_uri, weights, pieces, partial / file.name)
    os.replace(partial, folder)


def read_file(store: ObjectStore, base_uri: str, file: BaseFile) -> bytes:
    """A file without weights. Raises ArtifactMismatch and ObjectChanged where it is not as indexed."""
    content = store.read_range(base_uri + file.name, 0, file.size, etag=file.etag)
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise _changed(base_uri + file.name)
    return content


def _copy_weights(store: ObjectStore, base_uri: str, file: IndexedFile, pieces: PieceSource, path: Path) -> None:
    header = store.read_range(base_uri + file.name, 0, file.data_start, etag=file.etag)
    if hashlib.sha256(header).hexdigest() != file.header_sha256:
        raise _changed(base_uri + file.name)
    with path.open("wb") as target:
        target.write(header)
        runs = [tensor.all_pieces for tensor in pieces.index.tensors.values() if tensor.file == file.name]
        for run, content in pieces.read(runs):
            target.seek(run.file_start)
            target.write(content)


def _changed(uri: str) -> ArtifactMismatch:
    return ArtifactMismatch(
        f"{uri} has changed since it was indexed", remedy="Start the job again; do not write to a base in use."
    )


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

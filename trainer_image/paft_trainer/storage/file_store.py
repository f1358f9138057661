"""`file://` addresses: folders of this machine, with the guarantees that object stores give."""

import errno
import os
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Self
from urllib.parse import quote, unquote_to_bytes

from paft_api.causes import Cause
from paft_api.spec.base import BaseSpec
from paft_api.spec.data import DataSource
from paft_trainer.errors import StageError, StageFailed
from paft_trainer.storage.errors import (
    ObjectChanged,
    ObjectMissing,
    PreconditionFailed,
    StorageAuth,
    StorageUnavailable,
)
from paft_trainer.storage.object_store import ObjectInfo, ObjectWriter, UnfinishedUpload

_TEMPORARY_PREFIX = ".paft-partial-"


def path_of(uri: str) -> Path:
    """The path behind a `file://` URI."""
    return Path(os.fsdecode(unquote_to_bytes(uri.removeprefix("file://"))))


def uri_of(path: Path) -> str:
    """The `file://` URI of an absolute path."""
    return "file://" + quote(os.fsencode(path))


class FileStore:
    """Objects as files: written beside their place and renamed, so that no reader sees half of one.

    `writer`: who writes, a word that what is not finished is called by.
    """

    def __init__(self, writer: str | None = None) -> None:
        self._prefix = _TEMPORARY_PREFIX if writer is None else f"{_TEMPORARY_PREFIX}{writer}."

    def head(self, uri: str) -> ObjectInfo | None:
        """Size and ETag, or None."""
        with _explained(uri):
            return _info(path_of(uri))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """All files whose URI begins with `prefix`, in order."""
        with _explained(prefix):
            folder = path_of(prefix if prefix.endswith("/") else prefix.rpartition("/")[0])
            found = [info for path in _files_below(folder) if (info := _info(path)) is not None]
        wanted = uri_of(path_of(prefix)) + ("/" if prefix.endswith("/") else "")
        # A prefix may be written with or without percent-escapes; what is listed begins as it does.
        given, escaped = prefix.rpartition("/")[0], uri_of(folder)
        for info in sorted((info for info in found if info.uri.startswith(wanted)), key=lambda info: info.uri):
            yield replace(info, uri=given + info.uri.removeprefix(escaped))

    def read(self, uri: str) -> bytes:
        """The whole file."""
        with _explained(uri):
            return path_of(uri).read_bytes()

    def read_range(self, uri: str, start: int, size: int, *, etag: str | None = None) -> bytes:
        """Part of a file."""
        with _explained(uri), path_of(uri).open("rb") as file:
            file.seek(start)
            content = file.read(size)
            # After the read, so that a change in the middle of it counts, too.
            found = _etag(os.fstat(file.fileno()))
        if etag is not None and found != etag:
            raise ObjectChanged.of(uri, before=etag, now=found)
        if len(content) != size:
            raise StorageUnavailable(
                f"{uri}: bytes {start} to {start + size} asked for, but the file ends at {start + len(content)}",
                remedy="The file is truncated; write it again.",
            )
        return content

    def put(self, uri: str, data: bytes, *, only_if_absent: bool = False) -> None:
        """Write a file at once."""
        if not only_if_absent:
            with self.open_writer(uri) as writer:
                writer.write(data)
            return
        with self._temporary_beside(uri) as file, _explained(uri):
            file.write(data)
            _flush(file)
            try:
                # link(2) fails where the name exists: the one atomic test-and-set that file systems have.
                os.link(file.name, path_of(uri))
            except FileExistsError:
                if path_of(uri).read_bytes() != data:
                    raise PreconditionFailed(f"{uri} exists already") from None

    @contextmanager
    def open_writer(self, uri: str) -> Iterator[ObjectWriter]:
        """A streamed write."""
        with self._temporary_beside(uri) as file:
            yield _FileWriter(uri, file)
            with _explained(uri):
                _flush(file)
                os.replace(file.name, path_of(uri))

    def delete(self, uri: str) -> None:
        """Remove a file."""
        with _explained(uri):
            path_of(uri).unlink(missing_ok=True)

    def unfinished_uploads(self, prefix: str) -> Iterator[UnfinishedUpload]:
        """Temporary files in the folders whose URI begins with `prefix`."""
        given = prefix.rpartition("/")[0]
        with _explained(prefix):
            found = sorted(_partial_files_below(path_of(given)))
        wanted, escaped = uri_of(path_of(prefix)), uri_of(path_of(given))
        for path, written_at in found:
            if uri_of(path.parent).startswith(wanted):
                # As in `list`: what is found begins as the prefix does.
                uri = given + uri_of(path).removeprefix(escaped)
                writer = path.name.removeprefix(_TEMPORARY_PREFIX).rpartition(".")[0] or None
                yield UnfinishedUpload(uri=uri, upload_id=path.name, started_at=written_at, writer=writer)

    def abort_upload(self, upload: UnfinishedUpload) -> None:
        """Remove a temporary file."""
        assert path_of(upload.uri).name == upload.upload_id
        assert upload.upload_id.startswith(_TEMPORARY_PREFIX)
        self.delete(upload.uri)

    def of_source(self, source: BaseSpec | DataSource) -> Self:
        """Itself: files are reached in one way only."""
        return self

    @contextmanager
    def _temporary_beside(self, uri: str) -> Iterator[BinaryIO]:
        parent = path_of(uri).parent
        with _explained(uri):
            parent.mkdir(parents=True, exist_ok=True)
            # Not by tempfile, whose files nobody else may read: open(2) applies the umask.
            temporary = parent / f"{self._prefix}{uuid.uuid4().hex}"
            file = temporary.open("xb")
        try:
            yield file
        finally:
            with _explained(uri):
                try:
                    file.close()
                finally:
                    temporary.unlink(missing_ok=True)


class _FileWriter:
    """Explains what goes wrong in writing, and only that: the block around it has errors of its own."""

    def __init__(self, uri: str, file: BinaryIO) -> None:
        self._uri = uri
        self._file = file

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """See ObjectWriter."""
        with _explained(self._uri):
            self._file.write(data)


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _files_below(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder, onerror=_raise_unless_missing):
        yield from (Path(parent) / name for name in names if not name.startswith(_TEMPORARY_PREFIX))


def _partial_files_below(folder: Path) -> Iterator[tuple[Path, datetime]]:
    """Temporary files, and when they were last written to."""
    for parent, _, names in os.walk(folder, onerror=_raise_unless_missing):
        for path in (Path(parent) / name for name in names if name.startswith(_TEMPORARY_PREFIX)):
            # Its writer may have ended since.
            with suppress(FileNotFoundError):
                yield path, datetime.fromtimestamp(path.stat().st_mtime, UTC)


def _raise_unless_missing(error: OSError) -> None:
    # A folder that may not be read must not look like an empty one; one that was deleted meanwhile is one.
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def _info(path: Path) -> ObjectInfo | None:
    """None where there is no file, or none any more."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return ObjectInfo(uri=uri_of(path), size=status.st_size, etag=_etag(status))


def _etag(status: os.stat_result) -> str:
    return f"{status.st_mtime_ns:x}-{status.st_ino:x}-{status.st_size:x}"


@contextmanager
def _explained(uri: str) -> Iterator[None]:
    """Turn OSErrors into the errors of this package."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise ObjectMissing(f"{uri}: there is no such file", remedy="Check the address.") from error
    except OSError as error:
        raise _other(uri, error) from error


def _other(uri: str, error: OSError) -> StageError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StageFailed(Cause.DISK_FULL, f"{uri}: {error.strerror}")
    if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
        return ObjectMissing(f"{uri}: {error.strerror}", remedy="Check the address.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StorageAuth(f"{uri}: {error.strerror}", remedy="Give this user the right to read and write there.")
    return StorageUnavailable(f"{uri}: {error}")

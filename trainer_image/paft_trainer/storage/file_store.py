"""`file://` addresses: folders of this machine, with the guarantees that object stores give."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, unquote

from paft_api.causes import Cause
from paft_trainer.errors import StageError, StageFailed
from paft_trainer.storage.errors import ObjectMissing, PreconditionFailed, StorageAuth, StorageUnavailable
from paft_trainer.storage.object_store import ObjectInfo, ObjectWriter

_TEMPORARY_PREFIX = ".paft-partial-"


def path_of(uri: str) -> Path:
    """The path behind a `file://` URI."""
    return Path(unquote(uri.removeprefix("file://")))


def uri_of(path: Path) -> str:
    """The `file://` URI of an absolute path."""
    return "file://" + quote(str(path))


class FileStore:
    """Objects as files: written beside their place and renamed, so that no reader sees half of one."""

    def head(self, uri: str) -> ObjectInfo | None:
        """Size and ETag, or None."""
        with _explained(uri):
            path = path_of(uri)
            return _info(path) if path.is_file() else None

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """All files whose URI begins with `prefix`, in order."""
        with _explained(prefix):
            folder = path_of(prefix if prefix.endswith("/") else prefix.rpartition("/")[0])
            found = [
                _info(Path(parent) / name)
                for parent, _, names in os.walk(folder)
                for name in names
                if not name.startswith(_TEMPORARY_PREFIX)
            ]
        wanted = uri_of(path_of(prefix)) + ("/" if prefix.endswith("/") else "")
        # A prefix may be written with or without percent-escapes; what is listed begins as it does.
        given, escaped = prefix.rpartition("/")[0], uri_of(folder)
        for info in sorted((info for info in found if info.uri.startswith(wanted)), key=lambda info: info.uri):
            yield replace(info, uri=given + info.uri.removeprefix(escaped))

    def read(self, uri: str) -> bytes:
        """The whole file."""
        with _explained(uri):
            return path_of(uri).read_bytes()

    def read_range(self, uri: str, start: int, size: int) -> bytes:
        """Part of a file."""
        with _explained(uri), path_of(uri).open("rb") as file:
            file.seek(start)
            content = file.read(size)
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
        with _explained(uri):
            path = path_of(uri)
            path.parent.mkdir(parents=True, exist_ok=True)
            with _temporary(path) as (file, temporary):
                file.write(data)
                _flush(file)
                try:
                    # link(2) fails where the name exists: the one atomic test-and-set that file systems have.
                    os.link(temporary, path)
                except FileExistsError:
                    if path.read_bytes() != data:
                        raise PreconditionFailed(f"{uri} exists already") from None

    @contextmanager
    def open_writer(self, uri: str) -> Iterator[ObjectWriter]:
        """A streamed write."""
        with _explained(uri):
            path = path_of(uri)
            path.parent.mkdir(parents=True, exist_ok=True)
            with _temporary(path) as (file, temporary):
                yield file
                _flush(file)
                os.replace(temporary, path)

    def delete(self, uri: str) -> None:
        """Remove a file."""
        with _explained(uri):
            path_of(uri).unlink(missing_ok=True)


@contextmanager
def _temporary(path: Path) -> Iterator[tuple[BinaryIO, str]]:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=_TEMPORARY_PREFIX)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o666 & ~_umask())
            yield file, name
    finally:
        Path(name).unlink(missing_ok=True)


def _umask() -> int:
    # There is no way to read it but to set it.
    current = os.umask(0)
    os.umask(current)
    return current


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _info(path: Path) -> ObjectInfo:
    status = path.stat()
    etag = f"{status.st_mtime_ns:x}-{status.st_ino:x}-{status.st_size:x}"
    return ObjectInfo(uri=uri_of(path), size=status.st_size, etag=etag)


@contextmanager
def _explained(uri: str) -> Iterator[None]:
    """Turn OSErrors into the errors of this package."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise ObjectMissing(f"{uri}: there is no such file", remedy="Check the address.") from error
    except PermissionError as error:
        raise StorageAuth(
            f"{uri}: permission denied", remedy="Give this user the right to read and write there."
        ) from error
    except OSError as error:
        raise _other(uri, error) from error


def _other(uri: str, error: OSError) -> StageError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StageFailed(Cause.DISK_FULL, f"{uri}: {error.strerror}")
    return StorageUnavailable(f"{uri}: {error}")

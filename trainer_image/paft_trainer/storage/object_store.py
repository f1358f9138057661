"""The seam between the trainer and whatever holds its objects.

Every method takes whole URIs (`s3://bucket/key`, `file:///absolute/path`). A prefix ends in `/`.
Implementations retry what is worth retrying within `storage.retryWindow` and raise the errors of
`paft_trainer.storage.errors`; callers never see an exception of boto3 or `OSError`.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from paft_api.spec.base import BaseSpec
from paft_api.spec.data import DataSource


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectInfo:
    """One object as a listing or HEAD shows it.

    `uri`: whole address. `size`: bytes. `etag`: changes whenever the content does; not a hash of the content
    (multipart ETags are no MD5), for files derived from mtime in nanoseconds, inode and size.
    """

    uri: str
    size: int
    etag: str


@dataclass(frozen=True, kw_only=True, slots=True)
class UnfinishedUpload:
    """A streamed write that somebody began and neither ended nor dropped.

    `uri`: of the object it would become; for files, of the temporary file. `upload_id`: the store's name of it.
    `started_at`: aware, UTC; for files the time of the last write. `writer`: whose it is, where the store can tell, as
    it can of files.
    """

    uri: str
    upload_id: str
    started_at: datetime
    writer: str | None = None


class ObjectWriter(Protocol):
    """A streamed write. Nothing is visible before the context ends without an exception."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append bytes; blocks while the bounded upload buffer is full."""


class ObjectStore(Protocol):
    """Reads, writes, lists and claims objects of one scheme."""

    def head(self, uri: str) -> ObjectInfo | None:
        """The object's size and ETag, or None where there is none."""

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """All objects under `prefix` (recursive), in order of their URIs."""

    def read(self, uri: str) -> bytes:
        """The whole object. Raises ObjectMissing."""

    def read_range(self, uri: str, start: int, size: int, *, etag: str | None = None) -> bytes:
        """Exactly `size` bytes from offset `start`. Raises ObjectMissing; a short answer is retried.

        `etag`: of the content that is meant, as `head` and `list` tell it. Raises ObjectChanged where it is another.
        """

    def put(self, uri: str, data: bytes, *, only_if_absent: bool = False) -> None:
        """Write a small object at once. With `only_if_absent`, raises PreconditionFailed where one exists.

        The condition is decided by the store (If-None-Match: * on S3, link(2) on files), never by a HEAD before
        it. A retry after a lost answer finds its own object: the implementation reads it back, and equal bytes
        count as success.
        """

    def open_writer(self, uri: str) -> AbstractContextManager[ObjectWriter]:
        """A streamed write of any size, multipart where the store needs it; aborted on an exception."""

    def delete(self, uri: str) -> None:
        """Remove the object; no error where there is none."""

    def unfinished_uploads(self, prefix: str) -> Iterator[UnfinishedUpload]:
        """Streamed writes under `prefix` that have not ended, those of living writers among them."""

    def abort_upload(self, upload: UnfinishedUpload) -> None:
        """Drop what was uploaded; no error where it has ended meanwhile."""

    def of_source(self, source: BaseSpec | DataSource) -> "ObjectStore":
        """The way to one source: its server, and its keys, whatever other sources have the same address."""

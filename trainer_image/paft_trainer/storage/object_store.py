"""The seam between the trainer and whatever holds its objects.

Every method takes whole URIs (`s3://bucket/key`, `file:///absolute/path`). A prefix ends in `/`.
Implementations retry what is worth retrying within `storage.retryWindow` and raise the errors of
`paft_trainer.storage.errors`; callers never see an exception of boto3 or `OSError`.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectInfo:
    """One object as a listing or HEAD shows it.

    `uri`: whole address. `size`: bytes. `etag`: changes whenever the content does; not a hash of the content
    (multipart ETags are no MD5), for files derived from mtime in nanoseconds, inode and size.
    """

    uri: str
    size: int
    etag: str


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

    def read_range(self, uri: str, start: int, size: int) -> bytes:
        """Exactly `size` bytes from offset `start`. Raises ObjectMissing; a short answer is retried."""

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

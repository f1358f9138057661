"""A store that is read as it is, and keeps nothing of what is written to it."""

from collections.abc import Iterator
from contextlib import contextmanager

from paft_api.spec.base import BaseSpec
from paft_api.spec.data import DataSource
from paft_trainer.storage import ObjectInfo, ObjectStore, ObjectWriter, UnfinishedUpload


class DiscardingStore:
    """`ObjectStore` over another one, of which only reads arrive there."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def head(self, uri: str) -> ObjectInfo | None:
        """As the store's."""
        return self._store.head(uri)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """As the store's."""
        return self._store.list(prefix)

    def read(self, uri: str) -> bytes:
        """As the store's."""
        return self._store.read(uri)

    def read_range(self, uri: str, start: int, size: int, *, etag: str | None = None) -> bytes:
        """As the store's."""
        return self._store.read_range(uri, start, size, etag=etag)

    def put(self, uri: str, data: bytes, *, only_if_absent: bool = False) -> None:
        """Nothing."""

    @contextmanager
    def open_writer(self, uri: str) -> Iterator[ObjectWriter]:
        """One that forgets."""
        yield _Forgetful()

    def delete(self, uri: str) -> None:
        """Nothing."""

    def unfinished_uploads(self, prefix: str) -> Iterator[UnfinishedUpload]:
        """As the store's."""
        return self._store.unfinished_uploads(prefix)

    def abort_upload(self, upload: UnfinishedUpload) -> None:
        """Nothing."""

    def of_source(self, source: BaseSpec | DataSource) -> "DiscardingStore":
        """One over the store's."""
        return DiscardingStore(self._store.of_source(source))


class _Forgetful:
    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Nothing."""

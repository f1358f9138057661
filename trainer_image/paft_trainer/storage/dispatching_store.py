"""Several stores as one."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import NamedTuple

from paft_api.spec.base import BaseSpec
from paft_api.spec.data import DataSource
from paft_trainer.errors import ConfigInvalid
from paft_trainer.storage.object_store import ObjectInfo, ObjectStore, ObjectWriter, UnfinishedUpload


class Route(NamedTuple):
    """`uri`: a folder, which ends in `/`, or one object."""

    uri: str
    store: ObjectStore


class DispatchingStore:
    """Hands every call to the store of the longest route that its URI lies in, else of the URI's scheme.

    `s3_of`: how `s3://` addresses of a source are reached; by default as all others are.
    """

    def __init__(
        self,
        stores: Mapping[str, ObjectStore],
        routes: Iterable[Route] = (),
        *,
        s3_of: Callable[[BaseSpec | DataSource], ObjectStore] | None = None,
    ) -> None:
        self._stores = stores
        self._s3_of = s3_of
        # Files are reached in one way only. Of equal routes the first holds.
        s3 = [route for route in routes if route.uri.startswith("s3://")]
        self._routes = sorted(s3, key=lambda route: len(route.uri), reverse=True)

    def head(self, uri: str) -> ObjectInfo | None:
        """See ObjectStore."""
        return self._of(uri).head(uri)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """See ObjectStore."""
        return self._of(prefix).list(prefix)

    def read(self, uri: str) -> bytes:
        """See ObjectStore."""
        return self._of(uri).read(uri)

    def read_range(self, uri: str, start: int, size: int, *, etag: str | None = None) -> bytes:
        """See ObjectStore."""
        return self._of(uri).read_range(uri, start, size, etag=etag)

    def put(self, uri: str, data: bytes, *, only_if_absent: bool = False) -> None:
        """See ObjectStore."""
        self._of(uri).put(uri, data, only_if_absent=only_if_absent)

    def open_writer(self, uri: str) -> AbstractContextManager[ObjectWriter]:
        """See ObjectStore."""
        return self._of(uri).open_writer(uri)

    def delete(self, uri: str) -> None:
        """See ObjectStore."""
        self._of(uri).delete(uri)

    def unfinished_uploads(self, prefix: str) -> Iterator[UnfinishedUpload]:
        """See ObjectStore."""
        return self._of(prefix).unfinished_uploads(prefix)

    def abort_upload(self, upload: UnfinishedUpload) -> None:
        """See ObjectStore."""
        self._of(upload.uri).abort_upload(upload)

    def of_source(self, source: BaseSpec | DataSource) -> ObjectStore:
        """See ObjectStore. Two sources may have one address, so that an address does not tell which is meant."""
        if self._s3_of is None:
            return self
        return DispatchingStore({**self._stores, "s3": self._s3_of(source)})

    def _of(self, uri: str) -> ObjectStore:
        for route in self._routes:
            if uri == route.uri or (route.uri.endswith("/") and uri.startswith(route.uri)):
                return route.store
        scheme = uri.partition("://")[0]
        if scheme not in self._stores:
            raise ConfigInvalid(f"{uri}: no object store for this address", remedy="Use s3:// or file://.")
        return self._stores[scheme]

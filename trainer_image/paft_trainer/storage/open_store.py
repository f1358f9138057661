"""One store for all addresses of a job: `s3://` through boto3, `file://` on this machine."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from paft_api.spec.storage import StorageSpec
from paft_trainer.errors import ConfigInvalid
from paft_trainer.storage.file_store import FileStore
from paft_trainer.storage.object_store import ObjectInfo, ObjectStore, ObjectWriter, UnfinishedUpload
from paft_trainer.storage.retries import RetryPolicy
from paft_trainer.storage.s3_connection import S3Connection
from paft_trainer.storage.s3_store import S3Store


def open_store(storage: StorageSpec, *, on_wait: Callable[[str], None] = lambda message: None) -> ObjectStore:
    """The store of a job. `on_wait` hears what is waited for whenever a call is tried again."""
    retries = RetryPolicy(window_seconds=storage.retry_window, on_wait=on_wait)
    connection = S3Connection(endpoint=storage.endpoint, region=storage.region)
    return DispatchingStore({"file": FileStore(), "s3": S3Store(connection, retries=retries)})


class DispatchingStore:
    """Hands every call to the store of the URI's scheme."""

    def __init__(self, stores: dict[str, ObjectStore]) -> None:
        self._stores = stores

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

    def _of(self, uri: str) -> ObjectStore:
        scheme = uri.partition("://")[0]
        if scheme not in self._stores:
            raise ConfigInvalid(f"{uri}: no object store for this address", remedy="Use s3:// or file://.")
        return self._stores[scheme]

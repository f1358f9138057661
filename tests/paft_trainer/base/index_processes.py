"""A process of its own that indexes a base, and never gets to its end."""

import multiprocessing
import threading
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event

from paft_api.spec.storage import StorageSpec
from paft_trainer.base import indexing
from paft_trainer.base.index import index_base
from paft_trainer.storage import ObjectStore, open_store
from paft_trainer.storage.file_store import FileStore

CONTEXT = multiprocessing.get_context("spawn")


class WatchedStore(FileStore):
    """Counts the bytes of weights that it gave, and after `most` of them gives no more: `at_end` is called then."""

    def __init__(self, most: int = 2**60, at_end: Event | None = None) -> None:
        super().__init__()
        self.given = 0
        self.most = most
        self._at_end = at_end
        self._lock = threading.Lock()

    def read_range(self, uri: str, start: int, size: int, *, etag: str | None = None) -> bytes:
        with self._lock:
            is_allowed = self.given + size <= self.most
            if is_allowed and uri.endswith(".safetensors"):
                self.given += size
        if not is_allowed:
            assert self._at_end is not None
            self._at_end.set()
            threading.Event().wait()
        return super().read_range(uri, start, size, etag=etag)


class OtherArtifacts:
    """Reads a base here, and keeps its index elsewhere."""

    def __init__(self, base: ObjectStore, artifacts: ObjectStore) -> None:
        self._base = base
        self._artifacts = artifacts

    def __getattr__(self, name: str) -> object:
        def call(uri: str, *arguments: object, **options: object) -> object:
            store = self._artifacts if "/artifacts/" in uri else self._base
            return getattr(store, name)(uri, *arguments, **options)

        return call


def start_stuck_indexing(base_uri: str, storage: StorageSpec, *, stretch_bytes: int, most: int) -> BaseProcess:
    """A process that has read `most` bytes of the base, and hangs."""
    stuck = CONTEXT.Event()
    process = CONTEXT.Process(target=_index, args=(base_uri, storage, stretch_bytes, most, stuck), daemon=True)
    process.start()
    assert stuck.wait(60)
    return process


def _index(base_uri: str, storage: StorageSpec, stretch_bytes: int, most: int, stuck: Event) -> None:
    indexing.STRETCH_BYTES = stretch_bytes
    store = OtherArtifacts(WatchedStore(most, stuck), open_store(storage))
    index_base(store, base_uri, storage.artifacts_uri)

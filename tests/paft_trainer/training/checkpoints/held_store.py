"""A real store whose streamed writes wait until they may go on, or fail, as a slow or a broken object store's do."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from paft_trainer.storage import ObjectWriter
from paft_trainer.storage.errors import StorageError
from paft_trainer.storage.file_store import FileStore

LONGEST_SECONDS = 60


class HeldStore(FileStore):
    """`error`: raised in place of a write."""

    def __init__(self, *, error: StorageError | None = None) -> None:
        super().__init__()
        self._error = error
        self._may_go_on = threading.Event()

    def let_go(self) -> None:
        """Let writes go on, those that wait and those to come."""
        self._may_go_on.set()

    @contextmanager
    def open_writer(self, uri: str) -> Iterator[ObjectWriter]:
        """As the store's, later."""
        assert self._may_go_on.wait(LONGEST_SECONDS)
        if self._error is not None:
            raise self._error
        with super().open_writer(uri) as writer:
            yield writer

"""What prepare reports while it reads a base for the first time, which takes minutes."""

import threading
from typing import TYPE_CHECKING

from paft_api.report import Activity

if TYPE_CHECKING:
    from paft_trainer.reporting import Reporter


class IndexingProgress:
    """Bytes of the base that are done, of all. Told from several threads."""

    def __init__(self, reporter: "Reporter") -> None:
        self._reporter = reporter
        self._lock = threading.Lock()
        self._done = 0
        self._total: int | None = None

    def begin(self, size: int) -> None:
        """A base of so many bytes is read."""
        self._total = size
        self.advance(0)

    def advance(self, count: int) -> None:
        """So many more bytes are done."""
        with self._lock:
            self._done += count
            self._reporter.update(activity=Activity.INDEXING, bytes_done=self._done, bytes_total=self._total)

    def end(self) -> None:
        """The base is known."""
        self._reporter.update(activity=Activity.CHECKING, bytes_done=None, bytes_total=None)

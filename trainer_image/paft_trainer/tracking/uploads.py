"""Brings the files of trackers from a folder on this machine below artifactsUri, while they grow."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from paft_trainer.keeping.marked_attempt import best_effort
from paft_trainer.storage import ObjectStore

INTERVAL_SECONDS = 60.0
"""Object stores append nothing, so that a file goes as a whole each time."""


class FolderUpload:
    """Uploads files that have changed, in a thread of its own. `open_store`: of little patience. `clock`: monotonic."""

    def __init__(
        self,
        open_store: Callable[[], ObjectStore],
        folder: Path,
        uri: str,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open_store = open_store
        self._folder = folder
        self._uri = uri
        self._clock = clock
        self._sent: dict[str, tuple[int, int]] = {}
        self._begun_at = clock()
        self._running: Future[None] | None = None

    def is_due(self) -> bool:
        """Whether the last upload began long enough ago, and is over."""
        is_over = self._running is None or self._running.done()
        return is_over and self._clock() - self._begun_at >= INTERVAL_SECONDS

    def begin(self) -> None:
        """Upload beside what else is done."""
        self._begun_at = self._clock()
        executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="paft-tracking")
        self._running = executor.submit(self._upload)
        executor.shutdown(wait=False)

    def finish(self) -> None:
        """Upload what has changed since, and wait for it."""
        if self._running is not None:
            self._running.result()
        self._upload()

    def _upload(self) -> None:
        best_effort("files of trackers", self._send_changed)

    def _send_changed(self) -> None:
        store = self._open_store()
        for path in sorted(self._folder.rglob("*")):
            if not path.is_file() or path.is_symlink():
                continue
            name, stat = path.relative_to(self._folder).as_posix(), path.stat()
            state = (stat.st_size, stat.st_mtime_ns)
            if self._sent.get(name) != state:
                store.put(self._uri + name, path.read_bytes())
                self._sent[name] = state

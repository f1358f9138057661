"""The object store of an attempt; when calls have to wait for it, the log and the report say so."""

import threading
import time
from collections.abc import Callable

from paft_api.run_spec import RunSpec
from paft_trainer.reporting import Reporter
from paft_trainer.storage import ObjectStore, open_run_store

IMPATIENT_SECONDS = 15
"""Of `open_impatient_store`, in place of a longer `storage.retryWindow`."""

PATIENCE_SECONDS = 1.0
"""A wait that is over before is no news: a single answer of an object store gets lost now and then."""


def open_stage_store(run_spec: RunSpec, reporter: Reporter) -> ObjectStore:
    """The store. Raises ConfigInvalid where this machine lacks credentials that a source names."""
    wait = StorageWait(reporter)
    return open_run_store(run_spec, on_wait=wait.goes_on, on_recovered=wait.is_over)


def open_impatient_store(run_spec: RunSpec) -> ObjectStore:
    """The same for what is good to be written, and no reason to wait."""
    storage = run_spec.storage.model_copy(
        update={"retry_window": min(run_spec.storage.retry_window, IMPATIENT_SECONDS)}
    )
    return open_run_store(run_spec.model_copy(update={"storage": storage}))


class StorageWait:
    """Tells that an attempt waits, and when that is over. Called from any thread. `clock`: seconds, monotonic."""

    def __init__(self, reporter: Reporter, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._reporter = reporter
        self._clock = clock
        self._lock = threading.Lock()
        self._since: float | None = None

    def goes_on(self, what: str) -> None:
        """Some call waits, and for what."""
        print(what, flush=True)
        with self._lock:
            now = self._clock()
            if self._since is None:
                self._since = now
            if now - self._since >= PATIENCE_SECONDS:
                self._reporter.wait_for(what, waited=now - self._since)

    def is_over(self) -> None:
        """No call waits any more."""
        with self._lock:
            if self._since is not None and self._clock() - self._since >= PATIENCE_SECONDS:
                print("the object store answers again", flush=True)
            self._since = None
            self._reporter.go_on()

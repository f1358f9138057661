"""The life of an attempt in storage: its marker before anything else, and its end in it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from paft_api.spec.storage import StorageSpec
from paft_trainer.keeping.attempt_marker import AttemptEnd, AttemptMarker, write_marker
from paft_trainer.storage import ObjectStore, StorageError, open_store

END_SECONDS = 15
"""How long a store that does not answer is asked to take the end: the attempt is over and its pod waits."""


@dataclass(kw_only=True, slots=True)
class MarkedAttempt:
    """`ended`: what its marker will say when the block ends without an exception."""

    ended: AttemptEnd = AttemptEnd.SUCCEEDED


@contextmanager
def marked_attempt(
    store: ObjectStore, storage: StorageSpec, uri: str, marker: AttemptMarker
) -> Iterator[MarkedAttempt]:
    """Write the marker, and at the end of the block how it was over. Raises errors of the store before the block only:
    an end that cannot be written is told by the next attempt's marker."""
    write_marker(store, uri, marker)
    attempt = MarkedAttempt()
    try:
        yield attempt
    except Exception:
        attempt.ended = AttemptEnd.FAILED
        raise
    except BaseException:
        attempt.ended = AttemptEnd.STOPPED
        raise
    finally:
        patient = storage.model_copy(update={"retry_window": min(storage.retry_window, END_SECONDS)})
        told = marker.end(attempt.ended)
        best_effort("the end of this attempt", lambda: write_marker(open_store(patient), uri, told))


def best_effort(what: str, action: Callable[[], object]) -> None:
    """Do what is good to be done, and no reason to fail."""
    try:
        action()
    except StorageError as error:
        print(f"not written down or cleaned up: {what}: {error.message}", flush=True)

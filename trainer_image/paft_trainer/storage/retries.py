"""When a call to an object store is tried again: with growing, random pauses, until `storage.retryWindow` is over."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from paft_trainer.storage.errors import StorageUnavailable

Result = TypeVar("Result")

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 20.0
LOOK_SECONDS = 0.5
"""Between two looks whether a pause is still wanted."""


class TemporaryFault(Exception):
    """Raised by a call that is worth trying again; its text says what happened.

    `pause_seconds`: the least that the store asked for. `is_congestion`: the store says that it has too much to do.
    """

    def __init__(self, message: str, *, pause_seconds: float = 0.0, is_congestion: bool = False) -> None:
        super().__init__(message)
        self.pause_seconds = pause_seconds
        self.is_congestion = is_congestion


class _Waiters:
    """Counts the calls that wait at the moment, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0

    def enter(self) -> None:
        with self._lock:
            self._count += 1

    def leave(self) -> bool:
        """Whether nobody waits any more."""
        with self._lock:
            self._count -= 1
            return self._count == 0


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    """When calls are tried again, and who hears of it. `clock` and `sleep` are for tests."""

    window_seconds: float
    """How long one call is tried."""

    on_wait: Callable[[str], None] = lambda message: None
    """Told before each pause what is waited for; from the thread that waits."""

    on_recovered: Callable[[], None] = lambda: None
    """Told when a call that had to wait succeeds and no other waits any more."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _waiters: _Waiters = field(default_factory=_Waiters, repr=False)

    def run(self, call: Callable[[], Result], *, what: str, given_up: threading.Event | None = None) -> Result:
        """The call's result. Raises StorageUnavailable when the window ends; other errors pass at once.

        `given_up`: set where nobody waits for the result any more; then the next fault is the last.
        """
        try:
            return call()
        except TemporaryFault as fault:
            first = fault
        self._waiters.enter()
        has_succeeded = False
        try:
            result = self._run_again(call, first, what, given_up)
            has_succeeded = True
        finally:
            if self._waiters.leave() and has_succeeded:
                self.on_recovered()
        return result

    def _run_again(
        self, call: Callable[[], Result], fault: TemporaryFault, what: str, given_up: threading.Event | None
    ) -> Result:
        deadline = self.clock() + self.window_seconds
        pause = FIRST_PAUSE_SECONDS
        while True:
            remaining = deadline - self.clock()
            if remaining < FIRST_PAUSE_SECONDS or (given_up is not None and given_up.is_set()):
                raise StorageUnavailable(
                    f"{what}: no success within storage.retryWindow of {self.window_seconds:.0f} s; last: {fault}"
                ) from fault
            self.on_wait(f"waiting for the object store: {what}: {fault}")
            # With jitter, so that ranks that failed together do not come back together.
            self._pause(min(max(pause * random.uniform(0.5, 1.0), fault.pause_seconds), remaining), given_up)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            try:
                return call()
            except TemporaryFault as another:
                fault = another

    def _pause(self, seconds: float, given_up: threading.Event | None) -> None:
        if given_up is None:
            self.sleep(seconds)
            return
        while seconds > 0 and not given_up.is_set():
            self.sleep(min(seconds, LOOK_SECONDS))
            seconds -= LOOK_SECONDS

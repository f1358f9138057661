"""When a call to an object store is tried again: with growing, random pauses, until `storage.retryWindow` is over."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from paft_trainer.storage.errors import StorageUnavailable

Result = TypeVar("Result")

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 20.0


class TemporaryFault(Exception):
    """Raised by a call that is worth trying again; its text says what happened."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    """`window_seconds`: how long one call is tried. `on_wait`: told before each pause. The rest is for tests."""

    window_seconds: float
    on_wait: Callable[[str], None] = lambda message: None
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def run(self, call: Callable[[], Result], *, what: str) -> Result:
        """The call's result. Raises StorageUnavailable when the window ends; other errors pass at once."""
        deadline = self.clock() + self.window_seconds
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                return call()
            except TemporaryFault as fault:
                remaining = deadline - self.clock()
                if remaining < FIRST_PAUSE_SECONDS:
                    raise StorageUnavailable(
                        f"{what}: no success within storage.retryWindow of {self.window_seconds:.0f} s; last: {fault}"
                    ) from fault
                self.on_wait(f"waiting for the object store: {what}: {fault}")
            # With jitter, so that ranks that failed together do not come back together.
            self.sleep(min(pause, remaining) * random.uniform(0.5, 1.0))
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

"""How many requests a store gets at once: fewer when it says that they are too many, more again as it keeps up."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from paft_trainer.storage.retries import TemporaryFault

SECONDS_BETWEEN_CUTS = 1.0
"""Requests that were under way together are refused together: one sign, not many."""


class Congestion:
    """Additive increase, multiplicative decrease (RFC 5681), with requests in place of bytes."""

    def __init__(self, *, at_most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = float(at_most)
        self._at_most = at_most
        self._clock = clock
        self._under_way = 0
        self._last_cut = float("-inf")
        self._changed = threading.Condition()

    @contextmanager
    def request(self) -> Iterator[None]:
        """A request for the length of a `with` block; waits until there is room for it."""
        with self._changed:
            self._changed.wait_for(lambda: self._under_way < int(self.limit))
            self._under_way += 1
        try:
            yield
        except TemporaryFault as fault:
            self._leave(self._cut if fault.is_congestion else lambda: None)
            raise
        except BaseException:
            self._leave(lambda: None)
            raise
        self._leave(self._grow)

    def _leave(self, adapt: Callable[[], None]) -> None:
        with self._changed:
            self._under_way -= 1
            adapt()
            self._changed.notify_all()

    def _cut(self) -> None:
        if self._clock() - self._last_cut >= SECONDS_BETWEEN_CUTS:
            self._last_cut = self._clock()
            self.limit = max(1.0, self.limit / 2)

    def _grow(self) -> None:
        self.limit = min(float(self._at_most), self.limit + 1 / self.limit)

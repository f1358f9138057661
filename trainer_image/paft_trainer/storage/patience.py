"""How slow a transfer may be before it counts as dead and is begun again on another connection."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from paft_trainer.storage.retries import TemporaryFault


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """Bounds of one connection. A slow line that many of them share must stay above them."""

    silence_seconds: float = 20.0
    """Without one byte. Also the longest that a store may take to answer, for which `answer_seconds` is the bound."""

    answer_seconds: float = 60.0
    """From the end of a request to the first byte of its answer; stores join an upload's parts in that time."""

    window_seconds: float = 30.0
    """The rate is looked at once in this time."""

    least_bytes: int = 512 * 1024
    """In each window, while more is to come."""

    clock: Callable[[], float] = time.monotonic


class Pace:
    """Watches one transfer."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._since = patience.clock()
        self._received = 0

    def heard(self, count: int) -> None:
        """`count` more bytes came. Raises TemporaryFault where they are too few for the time."""
        self._received += count
        elapsed = self._patience.clock() - self._since
        if elapsed < self._patience.window_seconds:
            return
        if self._received < self._patience.least_bytes:
            raise TemporaryFault(f"stalled: {self._received} bytes in {elapsed:.0f} s")
        self._since, self._received = self._patience.clock(), 0

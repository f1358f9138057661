"""When a transfer is so slow that it counts as dead, and is begun again on another connection."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from paft_trainer.storage.retries import TemporaryFault

LOOKS_PER_SECOND = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """Bounds of one connection. Several share a line, so that each must be far below what the line carries."""

    answer_seconds: float = 60.0
    """From the end of a request to the first byte of its answer, in which a store may join an upload's parts."""

    silence_seconds: float = 20.0
    """Between two bytes of an answer."""

    grace_seconds: float = 30.0
    """For an answer of any size, beside what `least_bytes_per_second` allows it."""

    least_bytes_per_second: float = 64 * 1024
    """Over the whole of an answer."""

    def seconds_for(self, size: int) -> float:
        """How long an answer of `size` bytes may take."""
        return self.grace_seconds + size / self.least_bytes_per_second


class StallWatch:
    """One thread that ends transfers which take too long. It lives while there are any."""

    def __init__(self, patience: Patience) -> None:
        self.patience = patience
        self._lock = threading.Lock()
        self._deadlines: dict[object, tuple[float, Callable[[], None]]] = {}
        self._is_watching = False

    @contextmanager
    def transfer(self, end: Callable[[], None], size: int) -> Iterator[None]:
        """Of `size` bytes. `end`: makes the reader's wait end. Raises TemporaryFault where that was needed."""
        allowed, token = self.patience.seconds_for(size), object()
        with self._lock:
            self._deadlines[token] = (time.monotonic() + allowed, end)
            if not self._is_watching:
                self._is_watching = True
                threading.Thread(target=self._watch, name="paft-stalls", daemon=True).start()
        try:
            yield
        finally:
            with self._lock:
                is_in_time = self._deadlines.pop(token, None) is not None
        if not is_in_time:
            # A line that too many connections share looks the same; fewer of them may be what helps.
            raise TemporaryFault(f"stalled: not {size} bytes within {allowed:.0f} s", is_congestion=True)

    def _watch(self) -> None:
        while True:
            time.sleep(1 / LOOKS_PER_SECOND)
            with self._lock:
                now = time.monotonic()
                late = [token for token, (deadline, _) in self._deadlines.items() if deadline < now]
                ends = [self._deadlines.pop(token)[1] for token in late]
                self._is_watching = is_needed = bool(self._deadlines)
            for end in ends:
                end()
            if not is_needed:
                return

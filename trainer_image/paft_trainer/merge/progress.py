"""What a merge reports of itself: tensors done, bytes of the base in a second, and the time left at that rate."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from paft_api.report import Activity
from paft_trainer.merge.shards import SourceTensor

if TYPE_CHECKING:
    from paft_trainer.reporting import Reporter

RATE_SECONDS = 10.0
"""Over how long the rate is measured: copied tensors pass many times faster than merged ones."""
STEP_SECONDS = 0.25


class MergeProgress:
    """`tensors`: all of the base, in whatever order they come. `done`: those of them that an interrupted merge has
    written. `clock`: seconds, monotonic."""

    def __init__(
        self,
        reporter: "Reporter",
        tensors: Sequence[SourceTensor],
        *,
        done: Sequence[SourceTensor] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reporter = reporter
        self._tensors = len(tensors)
        self._bytes = _bytes_of(tensors)
        self._done_bytes = _bytes_of(done)
        self._done_tensors = len(done)
        self._clock = clock
        # When how many were done. It begins with the first bytes: looks at the whole model come before them.
        self._seen: deque[tuple[float, int]] = deque()
        self._report(rate=None)

    def advance(self, size: int, *, ends_tensor: bool) -> None:
        """So many more bytes are done."""
        self._done_bytes += size
        self._done_tensors += ends_tensor
        self._report(rate=self._rate())

    def _report(self, *, rate: float | None) -> None:
        self._reporter.update(
            activity=Activity.MERGING,
            step=self._done_tensors,
            total_steps=self._tensors,
            bytes_per_second=rate,
            eta_seconds=(self._bytes - self._done_bytes) / rate if rate is not None else None,
        )

    def _rate(self) -> float | None:
        """None until some time has passed since the first bytes."""
        now = self._clock()
        if not self._seen or now - self._seen[-1][0] >= STEP_SECONDS:
            self._seen.append((now, self._done_bytes))
        # What stays reaches back at least as far as the rate does, as soon as anything does.
        while len(self._seen) > 1 and now - self._seen[1][0] >= RATE_SECONDS:
            self._seen.popleft()
        since, before = self._seen[0]
        return (self._done_bytes - before) / (now - since) if now > since else None


def _bytes_of(tensors: Sequence[SourceTensor]) -> int:
    return sum(tensor.entry.size for tensor in tensors)

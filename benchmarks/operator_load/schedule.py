"""Which PaftJob changes next: some go through all changes up to their end, the others fill the time between. Pure."""

import heapq
import random
from collections import deque
from collections.abc import Iterator, Mapping

from benchmarks.operator_load.changes import LENGTH_OF_ENDING, Change


class Schedule:
    """For a load of `seconds`. `ending` and `progressing`: changes by PaftJob, taken one at a time as they are due."""

    def __init__(
        self, *, ending: Mapping[str, Iterator[Change]], progressing: Mapping[str, Iterator[Change]], seconds: float
    ) -> None:
        self._changes = {**ending, **progressing}
        self._is_ending = frozenset(ending)
        # Late enough for none to be cut off, however slow the last ones are.
        latest = max(0.0, seconds - 1.5 * LENGTH_OF_ENDING)
        draw = random.Random(0)
        self._due = [(draw.uniform(0.0, latest), name) for name in ending]
        heapq.heapify(self._due)
        self._waiting = deque((0.0, name) for name in progressing)

    def next(self, now: float) -> tuple[str, Change] | None:
        """The next change, `now` seconds after the start; None where none is due. Tell `done` once it has shown."""
        while self._due and self._due[0][0] <= now:
            _, name = heapq.heappop(self._due)
            change = next(self._changes[name], None)
            if change is not None:
                return name, change
        if not self._waiting or self._waiting[0][0] > now:
            return None
        _, name = self._waiting.popleft()
        return name, next(self._changes[name])

    def done(self, name: str, change: Change, now: float) -> None:
        """A change has shown in status."""
        due = (now + change.pause, name)
        if name in self._is_ending:
            heapq.heappush(self._due, due)
        else:
            self._waiting.append(due)

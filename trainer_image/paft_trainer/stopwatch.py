"""Splits the time of an attempt among what it does."""

from collections.abc import Callable
from dataclasses import dataclass, field

from paft_api.stage_time import AttemptTime, TimePart


@dataclass(kw_only=True, slots=True)
class Stopwatch:
    """At any moment one part is open, and gets the seconds until the next one is. `clock`: seconds, monotonic.
    `since`: when the open part was opened, by that clock. `spent`: seconds of parts that were closed."""

    clock: Callable[[], float]
    since: float
    part: TimePart = TimePart.LOAD
    spent: dict[TimePart, float] = field(default_factory=dict)

    def turn_to(self, part: TimePart, *, ago: float = 0.0) -> None:
        """Open another part, now or so many seconds `ago`, but not before the last turn."""
        now = self.clock() - ago
        now = max(self.since, now)
        self.spent[self.part] = self.spent.get(self.part, 0.0) + now - self.since
        self.since, self.part = now, part

    def was(self, part: TimePart) -> None:
        """Count the seconds since the last turn as this part."""
        self.part = part

    def read(self) -> AttemptTime:
        """All seconds so far, to the millisecond."""
        self.turn_to(self.part)
        return AttemptTime(**{part.value: round(seconds, 3) for part, seconds in self.spent.items()})

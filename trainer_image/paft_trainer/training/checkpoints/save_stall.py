"""How long training stands still for its checkpoints."""

from dataclasses import dataclass


@dataclass(kw_only=True, slots=True)
class SaveStall:
    """Of one attempt on one rank. `saves`: begun so far. `seconds`: that training stood still for them.

    `last_seconds`: of these, for the newest one: its snapshot, and what was left to do of the one before.
    `final_seconds`: besides, after training, until the last one was complete.
    """

    saves: int = 0
    seconds: float = 0.0
    last_seconds: float = 0.0
    final_seconds: float = 0.0

    def note(self, seconds: float) -> None:
        """A save has begun, and training goes on."""
        self.saves += 1
        self.seconds += seconds
        self.last_seconds = seconds

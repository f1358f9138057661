"""Watch events are lost, repeated, late or out of order, and watches expire."""

from enum import StrEnum
from random import Random

from tests.paft_operator.faults.interference import Event, Interference, Stream

LONGEST_SECONDS = 1.5
"""Longest delay of an event."""


class WatchFault(StrEnum):
    """What becomes of an event."""

    DROP = "drop"
    """It never comes."""
    REPEAT = "repeat"
    """It comes a second time a moment later, after newer ones."""
    DELAY = "delay"
    """It comes late, and all of its watch that follow come later still."""
    REORDER = "reorder"
    """It comes late, and others overtake it."""
    EXPIRE = "expire"
    """It never comes: the watch ends with 410, and what it wanted to tell has to be listed."""


class FaultAt(Interference):
    """One fault, at event `number`."""

    def __init__(self, fault: WatchFault, number: int, random: Random) -> None:
        super().__init__()
        self._fault = fault
        self._number = number
        self._random = random

    def event(self, stream: Stream, event: Event) -> None:
        if event.number == self._number:
            self.happened.append(f"{self._fault} event {event.number}")
            let_happen(self._fault, stream, event.line, self._random)
        else:
            stream.send(event.line)


class FaultsNowAndThen(Interference):
    """Faults of one kind, at this share of all events."""

    def __init__(self, fault: WatchFault, share: float, random: Random) -> None:
        super().__init__()
        self._fault = fault
        self._share = share
        self._random = random

    def event(self, stream: Stream, event: Event) -> None:
        if event.number and self._random.random() < self._share:
            self.happened.append(f"{self._fault} event {event.number}")
            let_happen(self._fault, stream, event.line, self._random)
        else:
            stream.send(event.line)


def let_happen(fault: WatchFault, stream: Stream, line: bytes, random: Random) -> None:
    """One fault."""
    seconds = random.uniform(0.05, LONGEST_SECONDS)
    match fault:
        case WatchFault.DROP:
            return
        case WatchFault.REPEAT:
            stream.send(line)
            stream.send(line, after=seconds)
        case WatchFault.DELAY:
            stream.pause(seconds)
            stream.send(line)
        case WatchFault.REORDER:
            stream.send(line, after=seconds)
        case WatchFault.EXPIRE:
            stream.expire()

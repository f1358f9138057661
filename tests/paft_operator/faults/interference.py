"""What a fault proxy may do to calls, answers and watch events; by itself nothing."""

from dataclasses import dataclass, field
from typing import Protocol

from tests.paft_operator.faults.calls import Call


class ConnectionCut(Exception):
    """The connection ends without an answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call is answered."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


class Stream(Protocol):
    """A running watch, on the operator's side."""

    def send(self, line: bytes, *, after: float = 0.0) -> None:
        """Pass an event on, maybe some seconds later: others may overtake it then."""

    def pause(self, seconds: float) -> None:
        """Pass nothing on for a while; the order stays."""

    def expire(self) -> None:
        """End it as the API server does when it does not have what the watch wants to see: 410."""


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a watch. `number`: which of the current run's events it is, from 1; 0 where it is of none."""

    number: int
    line: bytes


class Interference:
    """Passes everything on. Runs in the proxy's event loop. `happened`: faults so far, each in words."""

    def __init__(self) -> None:
        self.happened: list[str] = []

    async def before(self, call: Call) -> Answer | None:
        """Before a call is passed on. An answer is given instead of that; ConnectionCut ends it."""

    async def after(self, call: Call, answer: Answer) -> Answer:
        """Before the API server's answer is given; what is given then. ConnectionCut ends it."""
        return answer

    def event(self, stream: Stream, event: Event) -> None:
        """Pass an event of a watch on, or not."""
        stream.send(event.line)

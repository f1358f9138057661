"""Requests to an S3 server by names that are the same in every run, and what can go wrong with one."""

import re
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import parse_qsl, unquote

_DRAWN = re.compile(r"[0-9a-f]{32,}")
_OF_ONE_RUN = {"uploadId", "continuation-token", "key-marker", "upload-id-marker"}


class Fault(StrEnum):
    """What goes wrong with one request. The values are the rows of the table."""

    RESET_BEFORE = "reset before the server applied it"
    RESET_AFTER = "reset after the server applied it"
    ERROR = "500 InternalError"
    SLOW_DOWN = "503 SlowDown"
    STALL = "stall, not applied"
    STALLED_ANSWER = "stall, applied"
    CUT_BODY = "truncated body, sent"
    CUT_ANSWER = "truncated body, received"
    WRONG_BODY = "wrong bytes, sent"
    WRONG_ANSWER = "wrong bytes, received"
    KILL_BEFORE = "process killed before the server applied it"
    KILL_AFTER = "process killed after the server applied it"

    @property
    def kills(self) -> bool:
        """Whether the process ends with it."""
        return self in (Fault.KILL_BEFORE, Fault.KILL_AFTER)

    @property
    def falsifies(self) -> bool:
        """Whether bytes change on their way."""
        return self in (Fault.WRONG_BODY, Fault.WRONG_ANSWER)


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One request. `target`: what it is about, without what is drawn anew in each run. `turn`: 1 for the first one of
    this method and target, 2 for the second, ..."""

    method: str
    target: str
    turn: int

    def __str__(self) -> str:
        return f"{self.method} {self.target} {self.turn}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Exchange:
    """A request and its answer. `sent`, `received`: bytes of the bodies. `is_content`: the answer's body is an
    object's."""

    request: Request
    status: int
    sent: int
    received: int
    is_content: bool

    def can_meet(self, fault: Fault) -> bool:
        """Whether there is something that can go wrong so. Of answers only the contents of objects are falsified: no
        listing has a checksum, and nobody could tell one that lacks an object from a true one."""
        match fault:
            case Fault.CUT_BODY | Fault.WRONG_BODY:
                return self.sent > 1
            case Fault.CUT_ANSWER:
                return self.received > 1
            case Fault.WRONG_ANSWER:
                return self.received > 0 and self.is_content
            case _:
                return True


class Names:
    """Gives requests their names. `folder`: what addresses begin with that belong to one run alone."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._turns: Counter[tuple[str, str]] = Counter()

    def name(self, method: str, raw_path: str, byte_range: str | None) -> Request:
        """The next request of this method and target."""
        path, _, query = raw_path.partition("?")
        words = [unquote(path)]
        words += sorted(f"{key}={value}" if value else key for key, value in _lasting(query))
        words += [byte_range] if byte_range is not None else []
        target = _DRAWN.sub("*", " ".join(words).replace(self._folder, ""))
        self._turns[method, target] += 1
        return Request(method=method, target=target, turn=self._turns[method, target])


def _lasting(query: str) -> list[tuple[str, str]]:
    pairs = parse_qsl(query, keep_blank_values=True)
    return [(key, "" if key in _OF_ONE_RUN else value) for key, value in pairs]

"""Who asked the API server for what, from its audit log."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

READS = frozenset({"get", "list", "watch"})
CREATED = 201


class Request(NamedTuple):
    """A kind of request and its answer. `resource` has a subresource behind a slash."""

    verb: str
    resource: str
    code: int


class RequestLog:
    """The requests of one user that have been answered since the last look."""

    def __init__(self, audit_log: Path, user: str) -> None:
        self._file = audit_log.open("rb")
        self._user = user
        self._unfinished = b""

    def close(self) -> None:
        """Stop looking."""
        self._file.close()

    def new(self) -> Counter[Request]:
        """How often each was made since the last call."""
        counts: Counter[Request] = Counter()
        while content := self._file.read(1 << 24):
            *lines, self._unfinished = (self._unfinished + content).split(b"\n")
            counts += requests_of(self._user, lines)
        return counts


def requests_of(user: str, lines: Iterable[bytes]) -> Counter[Request]:
    """Of lines of an audit log those of one user."""
    # Most lines are somebody else's, and to parse them takes far longer than to look for a name.
    events = (json.loads(line) for line in lines if user.encode() in line)
    return Counter(_request(event) for event in events if event["user"]["username"] == user)


def _request(event: dict[str, object]) -> Request:
    reference, status = event.get("objectRef", {}), event.get("responseStatus", {})
    assert isinstance(reference, dict)
    assert isinstance(status, dict)
    resource = "/".join(filter(None, (reference.get("resource"), reference.get("subresource"))))
    return Request(str(event["verb"]), resource, int(status.get("code", 0)))


def total(counts: Mapping[Request, int]) -> int:
    """All requests but those for the Lease."""
    return sum(count for request, count in counts.items() if request.resource != "leases")


def writes(counts: Mapping[Request, int]) -> int:
    """Writes that were tried, the Lease's aside, whatever came of them."""
    return sum(count for request, count in counts.items() if _is_write(request))


def new_children(counts: Mapping[Request, int]) -> int:
    """Objects that were created, Events aside."""
    return sum(
        count
        for request, count in counts.items()
        if _is_write(request) and request.code == CREATED and request.resource != "events"
    )


def _is_write(request: Request) -> bool:
    return request.verb not in READS and request.resource != "leases"

"""Calls are answered with errors, late, or not at all; lists are answered with what was true a while ago."""

import asyncio
import json
from collections import defaultdict
from enum import StrEnum
from random import Random

from tests.paft_operator.faults.calls import Call
from tests.paft_operator.faults.interference import Answer, ConnectionCut, Interference

SILENT_SECONDS = 1.3
"""How long a call stays without an answer; operators should give up sooner."""


class Mishap(StrEnum):
    """What becomes of a call."""

    CONFLICT = "409"
    TOO_MANY_REQUESTS = "429"
    INTERNAL_ERROR = "500"
    SILENCE_BEFORE = "no answer, and never passed on"
    SILENCE_AFTER = "no answer, but passed on"
    RESET_BEFORE = "connection reset, and never passed on"
    RESET_AFTER = "connection reset, but passed on"


_BEFORE_ONLY = {
    Mishap.CONFLICT: (409, "Conflict", {}),
    Mishap.TOO_MANY_REQUESTS: (429, "TooManyRequests", {"Retry-After": "1"}),
    Mishap.INTERNAL_ERROR: (500, "InternalError", {}),
}


class BadAnswers(Interference):
    """Mishaps at this share of all calls."""

    def __init__(self, share: float, random: Random) -> None:
        super().__init__()
        self._share = share
        self._random = random
        self._due: dict[int, Mishap] = {}

    async def before(self, call: Call) -> Answer | None:
        mishap = self._draw(call)
        if mishap is None:
            return None
        self.happened.append(f"{mishap}: {call.method} {call.path}")
        if mishap in _BEFORE_ONLY:
            return _error(*_BEFORE_ONLY[mishap])
        if mishap in (Mishap.SILENCE_BEFORE, Mishap.RESET_BEFORE):
            await _end(mishap)
        self._due[id(call)] = mishap
        return None

    async def after(self, call: Call, answer: Answer) -> Answer:
        mishap = self._due.pop(id(call), None)
        if mishap is not None:
            await _end(mishap)
        return answer

    def _draw(self, call: Call) -> Mishap | None:
        if self._random.random() >= self._share:
            return None
        mishaps = [one for one in Mishap if call.is_write or one is not Mishap.CONFLICT]
        if call.is_watch:
            mishaps = [Mishap.TOO_MANY_REQUESTS, Mishap.INTERNAL_ERROR, Mishap.RESET_BEFORE]
        return self._random.choice(mishaps)


async def _end(mishap: Mishap) -> None:
    if mishap in (Mishap.SILENCE_BEFORE, Mishap.SILENCE_AFTER):
        await asyncio.sleep(SILENT_SECONDS)
    raise ConnectionCut(mishap)


def _error(status: int, reason: str, headers: dict[str, str]) -> Answer:
    document = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": "a fault"}
    body = json.dumps(document | {"code": status}).encode()
    return Answer(status, body, {"Content-Type": "application/json"} | headers)


class StaleLists(Interference):
    """This share of all lists is answered with an older answer to the same call."""

    def __init__(self, share: float, random: Random) -> None:
        super().__init__()
        self._share = share
        self._random = random
        self._answers: defaultdict[tuple[str, tuple[tuple[str, str], ...]], list[Answer]] = defaultdict(list)

    async def before(self, call: Call) -> Answer | None:
        older = self._answers[_key(call)]
        if call.is_list and older and self._random.random() < self._share:
            self.happened.append(f"stale list: {call.path}")
            return self._random.choice(older)
        return None

    async def after(self, call: Call, answer: Answer) -> Answer:
        answers = self._answers[_key(call)]
        if call.is_list and answer.status == 200 and answer not in answers:
            answers.append(answer)
        return answer


def _key(call: Call) -> tuple[str, tuple[tuple[str, str], ...]]:
    return call.path, tuple(sorted(call.query.items()))

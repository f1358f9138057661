"""Two operators at once: a second leader while the first still writes, and a leader that freezes in the middle."""

import asyncio
import signal
from collections.abc import Sequence
from enum import StrEnum
from random import Random

from hack.control_plane.client import Kind, KubernetesClient
from tests.paft_operator.faults.calls import Call
from tests.paft_operator.faults.interference import Answer, ConnectionCut, Interference
from tests.paft_operator.operator_processes import OperatorProcess

LEASE = Kind("coordination.k8s.io/v1", "Lease")
LEASE_NAME = "paft-operator"
LONGEST_HEAD_START = 3.0
"""Seconds that the new leader works before the old one goes on, at most."""
_POLL_SECONDS = 0.05


class Takeover(StrEnum):
    """How there come to be two."""

    OVERLAP = "overlap"
    """Somebody empties the Lease, and the old leader hears nothing of it: both lead to the end."""
    FROZEN = "frozen"
    """The leader is stopped (SIGSTOP) beyond its Lease; its last write has arrived. Then it goes on (SIGCONT)."""
    FROZEN_LATE = "frozen, with a late write"
    """The same, but its last write arrives only after the new leader has begun."""


class Election:
    """The Lease of one namespace, as the administrator sees it."""

    def __init__(self, client: KubernetesClient, namespace: str) -> None:
        self._client = client
        self._namespace = namespace

    @property
    def holder(self) -> str:
        """Identity of the leader; empty where there is none."""
        found = self._client.find(LEASE, LEASE_NAME, self._namespace)
        return str(found["spec"].get("holderIdentity") or "") if found is not None else ""

    def empty(self) -> None:
        """Let anybody have it at once."""
        self._client.patch(LEASE, LEASE_NAME, self._namespace, {"spec": {"holderIdentity": ""}})


class Overlap(Interference):
    """From write `number` on whoever made it is cut off from the Lease, which is emptied."""

    def __init__(self, election: Election, number: int) -> None:
        super().__init__()
        self._election = election
        self._number = number
        self._cut_off: int | None = None

    async def before(self, call: Call) -> Answer | None:
        if call.number == self._number:
            self._cut_off = call.origin
            before = await asyncio.to_thread(lambda: self._election.holder)
            self.happened.append(f"the Lease was taken from {before} at {call.method} {call.resource} {call.name}")
            await asyncio.to_thread(self._election.empty)
            await holder_other_than(self._election, before)
        if call.resource == "leases" and call.origin == self._cut_off:
            raise ConnectionCut("cut off from the Lease")
        return None


class Freeze(Interference):
    """At write `number` whoever makes it is stopped, until another leads and has a head start."""

    def __init__(
        self, election: Election, operators: Sequence[OperatorProcess], number: int, random: Random, *, is_late: bool
    ) -> None:
        super().__init__()
        self._election = election
        self._operators = operators
        self._number = number
        self._head_start = random.uniform(0, LONGEST_HEAD_START)
        self._is_late = is_late
        self._tasks: set[asyncio.Task[None]] = set()

    async def before(self, call: Call) -> Answer | None:
        if call.number != self._number:
            return None
        before = await asyncio.to_thread(lambda: self._election.holder)
        operator = self._operators[call.origin]
        operator.send(signal.SIGSTOP)
        self.happened.append(f"{before} was stopped at {call.method} {call.resource} {call.name}")
        thawing = asyncio.create_task(self._thaw(operator, before))
        self._tasks.add(thawing)
        if self._is_late:
            await thawing
        return None

    async def _thaw(self, operator: OperatorProcess, before: str) -> None:
        await holder_other_than(self._election, before)
        await asyncio.sleep(self._head_start)
        operator.send(signal.SIGCONT)


async def holder_other_than(election: Election, before: str) -> None:
    """Wait for another leader."""
    while await asyncio.to_thread(lambda: election.holder) in ("", before):
        await asyncio.sleep(_POLL_SECONDS)

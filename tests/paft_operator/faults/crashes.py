"""The operator is killed at one write, and started again."""

import asyncio
from enum import StrEnum

from tests.paft_operator.faults.calls import Call
from tests.paft_operator.faults.interference import Answer, ConnectionCut, Interference
from tests.paft_operator.operator_processes import OperatorProcess


class Moment(StrEnum):
    """When, seen from a write."""

    BEFORE = "before"
    """It is never sent."""
    AFTER = "after"
    """It was applied, and its answer is lost."""


class Crash(Interference):
    """SIGKILL at write `number`."""

    def __init__(self, operator: OperatorProcess, number: int, moment: Moment) -> None:
        super().__init__()
        self._operator = operator
        self._number = number
        self._moment = moment

    async def before(self, call: Call) -> Answer | None:
        if call.number == self._number and self._moment is Moment.BEFORE:
            await self._crash(call)
        return None

    async def after(self, call: Call, answer: Answer) -> Answer:
        if call.number == self._number and self._moment is Moment.AFTER:
            await self._crash(call)
        return answer

    async def _crash(self, call: Call) -> None:
        self.happened.append(f"{self._moment} {call.method} {call.resource} {call.name}")
        await asyncio.to_thread(self._operator.kill)
        await asyncio.to_thread(self._operator.start)
        raise ConnectionCut("the operator was killed")

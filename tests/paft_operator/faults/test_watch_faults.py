"""What a fault does to the events of a watch."""

import asyncio
from random import Random

import pytest
from tests.paft_operator.faults.interference import Event
from tests.paft_operator.faults.watch_faults import FaultAt, WatchFault
from tests.paft_operator.faults.watch_streams import WatchStream


@pytest.mark.parametrize(
    ("fault", "received"),
    [
        (WatchFault.DROP, [b"1", b"3"]),
        (WatchFault.REPEAT, [b"1", b"2", b"3", b"2"]),
        (WatchFault.DELAY, [b"1", b"2", b"3"]),
        (WatchFault.REORDER, [b"1", b"3", b"2"]),
    ],
)
def test_an_event_meets_its_fault(fault: WatchFault, received: list[bytes]) -> None:
    assert asyncio.run(_received(fault)) == received


def test_an_expired_watch_ends_with_410() -> None:
    *before, last = asyncio.run(_received(WatchFault.EXPIRE))

    assert before == [b"1"]
    assert b'"code": 410' in last


def test_a_delay_takes_its_time() -> None:
    async def seconds() -> float:
        began = asyncio.get_running_loop().time()
        await _received(WatchFault.DELAY, wait=0)
        return asyncio.get_running_loop().time() - began

    assert asyncio.run(seconds()) >= 0.05


async def _received(fault: WatchFault, *, wait: float = 2.0) -> list[bytes]:
    stream, interference = WatchStream(), FaultAt(fault, 2, Random(fault))
    for number in (1, 2, 3):
        interference.event(stream, Event(number, str(number).encode()))
    asyncio.get_running_loop().call_later(wait, stream.end)
    return [line async for line in stream.lines()]

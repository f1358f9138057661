"""Signs of life: every rank writes down when it last got on, and its launcher reads that.

One small file for each rank, in the attempt's scratch folder. Times are of CLOCK_MONOTONIC, which all processes of a
machine share.
"""

import math
import os
import struct
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_LAYOUT = struct.Struct("<qqqddd")
_REMEMBERED_INTERVALS = 100
_PREFIX = "heartbeat-"


@dataclass(frozen=True, kw_only=True, slots=True)
class Beat:
    """The newest sign of life of a rank.

    `count`: signs so far. `step`: optimizer steps done. `at`: seconds of the monotonic clock. `longest_interval`:
    seconds, the longest of the last intervals between two signs. `allowance`: seconds that what it does now may take
    whatever the intervals were; infinite where its end is bounded elsewhere.
    """

    pid: int
    count: int
    step: int
    at: float
    longest_interval: float
    allowance: float


class Heartbeat:
    """One rank's signs of life. `clock`: seconds, monotonic."""

    def __init__(
        self, scratch: Path, rank: int, *, allowance: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`allowance`: seconds that may pass before the first step, besides those that every first step is given."""
        self._file = os.open(_path(scratch, rank), os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
        self._clock = clock
        self._intervals: deque[float] = deque(maxlen=_REMEMBERED_INTERVALS)
        self._last: float | None = None
        self._count = 0
        self._step = 0
        self._write(clock(), allowance=allowance)

    def beat(self, step: int) -> None:
        """It got on: a forward and backward pass is done, or a batch evaluated. `step`: optimizer steps done."""
        now = self._clock()
        if self._last is not None:
            self._intervals.append(now - self._last)
        self._last, self._step = now, step
        self._write(now, allowance=0.0)

    @contextmanager
    def resting(self, allowance: float) -> Iterator[None]:
        """Around what is no step, such as saving, and may take `allowance` seconds. Not an interval between steps."""
        self._write(self._clock(), allowance=allowance)
        yield
        self._last = self._clock()
        self._write(self._last, allowance=0.0)

    def end(self) -> None:
        """Training is over: what follows is bounded by the time that the object store is given."""
        self._write(self._clock(), allowance=math.inf)

    def _write(self, now: float, *, allowance: float) -> None:
        self._count += 1
        longest = max(self._intervals, default=0.0)
        os.pwrite(self._file, _LAYOUT.pack(os.getpid(), self._count, self._step, now, longest, allowance), 0)


def read_beats(scratch: Path) -> dict[int, Beat]:
    """The newest sign of life of every rank that has given one here."""
    beats = {}
    for path in scratch.glob(f"{_PREFIX}*"):
        content = path.read_bytes()
        # It is empty for a moment when a rank has just begun.
        if len(content) == _LAYOUT.size:
            rank = int(path.name.removeprefix(_PREFIX))
            pid, count, step, at, longest, allowance = _LAYOUT.unpack(content)
            beats[rank] = Beat(pid=pid, count=count, step=step, at=at, longest_interval=longest, allowance=allowance)
    return beats


def _path(scratch: Path, rank: int) -> Path:
    return scratch / f"{_PREFIX}{rank}"

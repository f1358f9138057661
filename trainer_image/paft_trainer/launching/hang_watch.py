"""Finds ranks that do not get on any more, writes down where each of them is, and ends them.

A rank that hangs makes all others wait in a collective, for half an hour by default and longer in some libraries. It
may hold Python's lock, so it cannot find out itself. The launcher can: it compares every rank's last sign of life with
how long steps took so far.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from paft_api.causes import CAUSE_FACTS, Cause
from paft_api.report import Failure
from paft_trainer.launching.failure_records import write_failure_record
from paft_trainer.launching.heartbeats import Beat, read_beats

LONGEST_INTERVALS = 10
"""A step may take so many times as long as the longest of the last ones."""
FIRST_STEP_SECONDS = 1800.0
"""Bound before the first step, which waits for data, compilation and the other nodes."""
DUMP_SIGNAL = signal.SIGUSR1
NO_STACKS = "  none; the process does not answer signals"
_LOOK_SECONDS = 1.0
_DUMP_SECONDS = 3.0


def bound_of(beat: Beat, *, hang_timeout: float) -> float:
    """Seconds after its last sign of life from which a rank counts as hung.

    `hang_timeout`: `training.hangTimeout`, below which no bound is.
    """
    if beat.longest_interval == 0:
        return max(FIRST_STEP_SECONDS, hang_timeout) + beat.allowance
    return max(hang_timeout, LONGEST_INTERVALS * beat.longest_interval) + beat.allowance


def all_hang(beats: Mapping[int, Beat], now: float, *, hang_timeout: float) -> bool:
    """Whether every rank here is past its bound: as long as one gets on, the others wait for it."""
    return bool(beats) and all(now - beat.at > bound_of(beat, hang_timeout=hang_timeout) for beat in beats.values())


def rank_behind(beats: Mapping[int, Beat], silent: Collection[int]) -> int:
    """The rank that the others wait for: one that does not even answer a signal, else one that has got on least."""
    return min(silent or beats, key=lambda rank: (beats[rank].count, beats[rank].at))


def stacks_file(scratch: Path, rank: int) -> Path:
    """Where a rank writes the stacks of its threads on DUMP_SIGNAL."""
    return scratch / f"stacks-{rank}.txt"


class HangWatch:
    """A context in which the ranks of this node are watched. `scratch`: the attempt's. `hang_timeout`: seconds."""

    def __init__(self, scratch: Path, *, hang_timeout: float) -> None:
        self._scratch = scratch
        self._hang_timeout = hang_timeout
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="paft-hang-watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            beats = read_beats(self._scratch)
            now = time.monotonic()
            if all_hang(beats, now, hang_timeout=self._hang_timeout):
                self._end(beats, now)
                return

    def _end(self, beats: Mapping[int, Beat], now: float) -> None:
        """Past the ranks' own clean-up: one that hangs would not come to its end."""
        _signal_all(beats, DUMP_SIGNAL)
        self._over.wait(_DUMP_SECONDS)
        stacks = {rank: _stacks(self._scratch, rank) for rank in beats}
        for rank, text in stacks.items():
            print(f"stacks of rank {rank}:\n{text or NO_STACKS}", file=sys.stderr, flush=True)
        silent = [rank for rank, text in stacks.items() if not text]
        write_failure_record(self._scratch, _failure(beats, now, silent))
        _signal_all(beats, signal.SIGKILL)


def _failure(beats: Mapping[int, Beat], now: float, silent: Collection[int]) -> Failure:
    rank = rank_behind(beats, silent)
    beat = beats[rank]
    state = "does not answer signals" if rank in silent else "is behind"
    message = (
        f"no rank of this node has got on for {now - max(beat.at for beat in beats.values()):.0f} s; rank {rank}"
        f" {state}, after step {beat.step}. The longest of the last passes took {beat.longest_interval:.1f} s"
    )
    return Failure(cause=Cause.HANG, message=message, remedy=CAUSE_FACTS[Cause.HANG].remedy, rank=rank)


def _stacks(scratch: Path, rank: int) -> str:
    """Empty where the rank did not answer: the handler is C code, which asks for no lock of Python's."""
    path = stacks_file(scratch, rank)
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def _signal_all(beats: Mapping[int, Beat], number: signal.Signals) -> None:
    for beat in beats.values():
        # It may have ended by itself meanwhile.
        with suppress(ProcessLookupError):
            os.kill(beat.pid, number)

"""What is done to an attempt, and how it has to end for that."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.arm_faults.drawn_trials import Kind, Trial
from tests.arm_faults.observed_attempts import ObservedAttempt
from tests.arm_faults.small_disk import fill

from paft_api.causes import CAUSE_FACTS, EXIT_STOPPED, Cause
from paft_trainer.launching.heartbeats import read_beats


@dataclass(frozen=True, kw_only=True, slots=True)
class RightEnd:
    """`cause`: None where it is no failure. `rank`: the one that is to be named; None where any may be. `node`: whose
    launcher tells. `has_words`: whether there has to be a termination message."""

    cause: Cause | None
    rank: int | None = None
    node: int = 0
    has_words: bool = True

    @property
    def exit_code(self) -> int:
        """Of the launcher that tells."""
        return EXIT_STOPPED if self.cause is None else CAUSE_FACTS[self.cause].exit_code


def strike(trial: Trial, attempt: ObservedAttempt, disk: Path | None) -> RightEnd | None:
    """Let the fault happen at its moment; None where the attempt was over by then. `disk`: the small one."""
    return _STRIKES[trial.kind](trial, attempt, disk)


def _kill_rank(trial: Trial, attempt: ObservedAttempt, _: Path | None) -> RightEnd | None:
    if not attempt.wait_for(trial.moment, trial.delay):
        return None
    pid = attempt.pids.get(trial.victim)
    if pid is None or not _signal(pid, signal.SIGKILL):
        return None
    return RightEnd(cause=Cause.UNKNOWN, rank=trial.victim)


def _stop(trial: Trial, attempt: ObservedAttempt, _: Path | None) -> RightEnd | None:
    if not attempt.wait_for(trial.moment, trial.delay):
        return None
    process = attempt.nodes[0].process
    assert process is not None
    assert process.pid is not None
    return RightEnd(cause=None) if _signal(process.pid, signal.SIGTERM) else None


def _hang(trial: Trial, attempt: ObservedAttempt, _: Path | None) -> RightEnd | None:
    if not attempt.wait_for(trial.moment, trial.delay):
        return None
    pid = attempt.pids.get(trial.victim)
    if pid is None or not _signal(pid, signal.SIGSTOP):
        return None
    if any(beat.allowance == float("inf") for beat in read_beats(attempt.nodes[0].scratch).values()):
        # Publishing has begun, which is watched by others.
        _signal(pid, signal.SIGCONT)
        return None
    return RightEnd(cause=Cause.HANG, rank=trial.victim)


def _poison(trial: Trial, attempt: ObservedAttempt, _: Path | None) -> RightEnd | None:
    """Nothing is left to be done: it was told to poison itself before it began. All ranks have a gradient's NaN."""
    return RightEnd(cause=Cause.DIVERGED)


def _end_to_be_torn(trial: Trial, attempt: ObservedAttempt, disk: Path | None) -> RightEnd | None:
    return (_kill_rank, _stop)[trial.draws.randrange(2)](trial, attempt, disk)


def _fill_disk(trial: Trial, attempt: ObservedAttempt, disk: Path | None) -> RightEnd | None:
    assert disk is not None
    if not attempt.wait_for(trial.moment, trial.delay):
        return None
    fill(disk)
    return RightEnd(cause=Cause.DISK_FULL, has_words=trial.variant != "scratch")


def _lose_node(trial: Trial, attempt: ObservedAttempt, _: Path | None) -> RightEnd | None:
    """All processes of a node end at once, as with a machine."""
    if not attempt.wait_for(trial.moment, trial.delay):
        return None
    lost = int(trial.variant.removeprefix("node "))
    launcher = attempt.nodes[lost].process
    assert launcher is not None
    assert launcher.pid is not None
    found = [_signal(pid, signal.SIGKILL) for pid in (*attempt.nodes[lost].pids.values(), launcher.pid)]
    return RightEnd(cause=Cause.PEER_LOST, node=1 - lost) if any(found) else None


def _signal(pid: int, number: signal.Signals) -> bool:
    """Whether there was somebody to get it."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False


_STRIKES: dict[Kind, Callable[[Trial, ObservedAttempt, Path | None], RightEnd | None]] = {
    Kind.RANK_KILLED: _kill_rank,
    Kind.STOPPED: _stop,
    Kind.HANG: _hang,
    Kind.NAN: _poison,
    Kind.TORN: _end_to_be_torn,
    Kind.FULL_DISK: _fill_disk,
    Kind.LOST_PEER: _lose_node,
}

"""When ranks count as hung, which one is behind, and that all of them are ended with their stacks told."""

import faulthandler
import multiprocessing
import signal
import time
from pathlib import Path

import pytest

from paft_api.causes import Cause
from paft_trainer.launching.failure_records import read_failure_records
from paft_trainer.launching.hang_watch import (
    DUMP_SIGNAL,
    FIRST_STEP_SECONDS,
    HangWatch,
    all_hang,
    bound_of,
    rank_behind,
    stacks_file,
)
from paft_trainer.launching.heartbeats import Beat, Heartbeat


def beat(*, count: int = 20, at: float = 0.0, longest: float = 2.0, allowance: float = 0.0) -> Beat:
    return Beat(pid=1, count=count, step=9, at=at, longest_interval=longest, allowance=allowance)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (beat(longest=2.0), 300),
        (beat(longest=45.0), 450),
        (beat(longest=2.0, allowance=600), 900),
        (beat(longest=0.0), FIRST_STEP_SECONDS),
        (beat(longest=0.0, allowance=600), FIRST_STEP_SECONDS + 600),
    ],
)
def test_the_bound_follows_from_the_steps_seen(given: Beat, seconds: float) -> None:
    assert bound_of(given, hang_timeout=300) == seconds


@pytest.mark.parametrize(
    ("beats", "hang"),
    [
        ({}, False),
        ({0: beat(), 1: beat()}, True),
        # One that saves is waited for by the others, and one that gets on is no hang.
        ({0: beat(allowance=600), 1: beat()}, False),
        ({0: beat(at=200), 1: beat()}, False),
    ],
)
def test_ranks_hang_when_none_gets_on(beats: dict[int, Beat], hang: bool) -> None:
    assert all_hang(beats, 301.0, hang_timeout=300) is hang


@pytest.mark.parametrize(
    ("beats", "silent", "behind"),
    [
        ({0: beat(), 1: beat()}, [], 0),
        ({0: beat(count=20), 1: beat(count=19)}, [], 1),
        ({0: beat(at=0.5), 1: beat(at=0.1)}, [], 1),
        # A process that was stopped right after its sign of life is not behind by what it wrote.
        ({0: beat(at=0.1), 1: beat(at=0.5)}, [1], 1),
        ({0: beat(count=18), 1: beat(count=20), 2: beat(count=19)}, [1, 2], 2),
    ],
)
def test_the_rank_behind_is_one_that_is_stopped_or_has_got_on_least(
    beats: dict[int, Beat], silent: list[int], behind: int
) -> None:
    assert rank_behind(beats, silent) == behind


def _hang(scratch: Path, rank: int, beats: int) -> None:
    file = stacks_file(scratch, rank).open("w")
    faulthandler.register(DUMP_SIGNAL, file=file, all_threads=True)
    heartbeat = Heartbeat(scratch, rank)
    for step in range(beats):
        heartbeat.beat(step)
    wait_for_ever()


def wait_for_ever() -> None:
    time.sleep(600)


def test_hung_processes_tell_their_stacks_and_are_ended(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    context = multiprocessing.get_context("forkserver")
    ranks = [context.Process(target=_hang, args=(tmp_path, rank, beats)) for rank, beats in ((0, 5), (1, 4))]
    with HangWatch(tmp_path, hang_timeout=3):
        for process in ranks:
            process.start()
        for process in ranks:
            process.join(timeout=60)
    assert [process.exitcode for process in ranks] == [-signal.SIGKILL] * 2
    (failure,) = read_failure_records(tmp_path)
    assert (failure.cause, failure.rank) == (Cause.HANG, 1)
    assert failure.message.startswith("no rank of this node has got on for ")
    assert "rank 1 is behind, after step 3" in failure.message
    told = capfd.readouterr().err
    assert told.count("in wait_for_ever") == 2
    assert "stacks of rank 0:" in told
    assert "stacks of rank 1:" in told

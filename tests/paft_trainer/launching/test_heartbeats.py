"""Signs of life of a rank, as its launcher reads them."""

import math
import os
from pathlib import Path

import pytest

from paft_trainer.launching.heartbeats import Heartbeat, read_beats


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_rank_is_there_before_its_first_step(tmp_path: Path) -> None:
    Heartbeat(tmp_path, 3, allowance=600, clock=Clock())
    (beat,) = read_beats(tmp_path).values()
    assert (beat.pid, beat.step, beat.at, beat.longest_interval, beat.allowance) == (os.getpid(), 0, 100.0, 0.0, 600.0)


def test_intervals_are_between_steps_and_leave_out_what_is_no_step(tmp_path: Path) -> None:
    clock = Clock()
    heartbeat = Heartbeat(tmp_path, 0, clock=clock)
    for seconds in (2.0, 5.0, 3.0):
        clock.now += seconds
        heartbeat.beat(7)
    beat = read_beats(tmp_path)[0]
    assert (beat.step, beat.at, beat.longest_interval) == (7, 110.0, 5.0)
    with heartbeat.resting(600):
        assert read_beats(tmp_path)[0].allowance == 600
        clock.now += 400
    assert read_beats(tmp_path)[0].allowance == 0
    clock.now += 4
    heartbeat.beat(8)
    assert read_beats(tmp_path)[0].longest_interval == 5.0


def test_a_long_step_is_forgotten_after_a_hundred_others(tmp_path: Path) -> None:
    clock = Clock()
    heartbeat = Heartbeat(tmp_path, 0, clock=clock)
    for seconds in [0.0, 60.0, *[1.0] * 99]:
        clock.now += seconds
        heartbeat.beat(1)
    assert read_beats(tmp_path)[0].longest_interval == 60.0
    clock.now += 1
    heartbeat.beat(1)
    assert read_beats(tmp_path)[0].longest_interval == 1.0


def test_the_end_is_not_bounded(tmp_path: Path) -> None:
    heartbeat = Heartbeat(tmp_path, 1)
    heartbeat.end()
    assert read_beats(tmp_path)[1].allowance == math.inf


@pytest.mark.parametrize("content", [b"", b"half"])
def test_a_file_that_is_not_written_yet_is_no_sign_of_life(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "heartbeat-0").write_bytes(content)
    assert read_beats(tmp_path) == {}

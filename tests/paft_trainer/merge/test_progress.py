"""What a merge tells of itself while it works."""

from itertools import pairwise

import pytest
from tests.merges import merge_run_spec

from paft_api.report import Activity
from paft_trainer.merge.progress import MergeProgress
from paft_trainer.merge.shards import SourceTensor
from paft_trainer.reporting import Reporter
from paft_trainer.safetensors_files import TensorEntry

MEGABYTE = 1_000_000


class Clock:
    """Shows what it is set to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def reporter() -> Reporter:
    """One that collects only."""
    places = dict.fromkeys(("base", "sft", "preference", "output", "artifacts"), "file:///unused/")
    return Reporter(merge_run_spec(**places).identity, None)


def tensors(count: int) -> list[SourceTensor]:
    """Of 10 MB each."""
    entry = {"dtype": "U8", "shape": (10 * MEGABYTE,), "start": 0, "size": 10 * MEGABYTE}
    return [
        SourceTensor(uri="file:///base/model.safetensors", entry=TensorEntry(name=str(number), **entry))
        for number in range(count)
    ]


def test_rate_and_time_left_are_those_of_the_last_seconds(reporter: Reporter) -> None:
    clock = Clock()
    progress = MergeProgress(reporter, tensors(100), clock=clock)
    assert (reporter.progress.activity, reporter.progress.step) == (Activity.MERGING, 0)
    # A minute of looking at the whole model is not counted.
    clock.now = 60.0
    progress.advance(10 * MEGABYTE, ends_tensor=True)
    assert (reporter.progress.bytes_per_second, reporter.progress.eta_seconds) == (None, None)
    for second in range(1, 21):
        clock.now = 60.0 + second
        progress.advance(10 * MEGABYTE, ends_tensor=True)
    assert reporter.progress.bytes_per_second == 10 * MEGABYTE
    assert (reporter.progress.step, reporter.progress.total_steps, reporter.progress.eta_seconds) == (21, 100, 79.0)

    # Now twice as fast: the rate rises with every second, until the slow ones are forgotten.
    rates = []
    for second in range(1, 13):
        clock.now = 80.0 + second
        progress.advance(10 * MEGABYTE, ends_tensor=True)
        progress.advance(10 * MEGABYTE, ends_tensor=True)
        rates.append(reporter.progress.bytes_per_second or 0)
    assert all(before <= after for before, after in pairwise(rates))
    assert rates[0] < rates[-1] == pytest.approx(20 * MEGABYTE, rel=0.06)


def test_what_an_interrupted_merge_has_written_counts_as_done_but_not_as_speed(reporter: Reporter) -> None:
    clock = Clock()
    all_of_them = tensors(10)
    progress = MergeProgress(reporter, all_of_them, done=all_of_them[:6], clock=clock)
    assert (reporter.progress.step, reporter.progress.bytes_per_second) == (6, None)
    progress.advance(5 * MEGABYTE, ends_tensor=False)
    clock.now = 1.0
    progress.advance(5 * MEGABYTE, ends_tensor=True)
    assert reporter.progress.step == 7
    assert (reporter.progress.bytes_per_second, reporter.progress.eta_seconds) == (5 * MEGABYTE, 6.0)

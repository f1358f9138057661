"""Results in order, bounded, and errors that end everything."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paft_trainer.merge.pipeline import Pipeline

pytestmark = pytest.mark.timeout(20)


@given(st.integers(1, 5), st.integers(1, 8), st.lists(st.integers(0, 3), max_size=30))
def test_results_come_in_order(workers: int, ahead: int, delays: list[int]) -> None:
    def task(index: int, delay: int) -> int:
        time.sleep(delay * 1e-4)
        return index

    with Pipeline(workers=workers, ahead=ahead) as pipeline:
        futures = (
            (pipeline.compute if delay % 2 else pipeline.read)(lambda index=index, delay=delay: task(index, delay))
            for index, delay in enumerate(delays)
        )
        assert list(pipeline.in_order(futures)) == list(range(len(delays)))


def test_no_more_is_begun_than_may_wait() -> None:
    begun = 0
    with Pipeline(workers=2, ahead=3) as pipeline:

        def submitted() -> Iterator["Future[int]"]:
            nonlocal begun
            for index in range(50):
                begun += 1
                yield pipeline.compute(lambda index=index: index)

        for taken, _ in enumerate(pipeline.in_order(submitted())):
            assert begun <= taken + 4


@settings(max_examples=50)
@given(st.integers(1, 3), st.integers(0, 19), st.booleans(), st.booleans())
def test_an_error_of_any_task_comes_up_and_nothing_hangs(workers: int, bad: int, reading: bool, waits: bool) -> None:
    """Each task waits for its read, and with `waits` for the task before it, as looks do."""

    def read(index: int) -> int:
        if reading and index == bad:
            raise ZeroDivisionError
        return index

    def compute(index: int, reading_: "Future[int]", before: "Future[int] | None") -> int:
        if before is not None and waits:
            before.result()
        if not reading and index == bad:
            raise ZeroDivisionError
        return reading_.result()

    def submitted(pipeline: Pipeline) -> Iterator["Future[int]"]:
        before: Future[int] | None = None
        for index in range(20):
            future = pipeline.read(lambda index=index: read(index))
            before = pipeline.compute(lambda index=index, future=future, before=before: compute(index, future, before))
            yield before

    taken: list[int] = []
    with pytest.raises(ZeroDivisionError), Pipeline(workers=workers, ahead=4) as pipeline:
        taken.extend(pipeline.in_order(submitted(pipeline)))
    assert taken == list(range(bad))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("merge", "read"))]


def test_who_takes_results_may_fail_while_tasks_wait_for_reads() -> None:
    gate = threading.Event()
    with pytest.raises(KeyError), Pipeline(workers=1, ahead=2) as pipeline:
        reads = [pipeline.read(lambda: gate.wait(0.2)) for _ in range(12)]
        computed = [pipeline.compute(lambda read=read: read.result()) for read in reads]
        assert computed
        raise KeyError

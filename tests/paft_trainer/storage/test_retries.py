"""When calls are tried again, with a clock of the test's own."""

import threading

import pytest

from paft_trainer.storage.errors import StorageUnavailable
from paft_trainer.storage.retries import RetryPolicy, TemporaryFault


class Clock:
    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


def failing(times: int) -> object:
    calls = iter(range(times))

    def call() -> str:
        for _ in calls:
            raise TemporaryFault("503")
        return "done"

    return call


def policy(clock: Clock, waits: list[str], window: float = 60) -> RetryPolicy:
    return RetryPolicy(window_seconds=window, on_wait=waits.append, clock=lambda: clock.now, sleep=clock.sleep)


def test_pauses_grow_and_every_wait_is_told() -> None:
    clock, waits = Clock(), []
    assert policy(clock, waits).run(failing(5), what="GET x") == "done"
    assert waits == ["waiting for the object store: GET x: 503"] * 5
    assert all(0.5 * 0.2 * 2**n <= pause <= 0.2 * 2**n for n, pause in enumerate(clock.pauses))


def test_the_window_ends_it() -> None:
    clock, waits = Clock(), []
    with pytest.raises(StorageUnavailable, match=r"GET x: no success within storage.retryWindow of 3 s; last: 503"):
        policy(clock, waits, window=3).run(failing(1000), what="GET x")
    assert 3 - 0.2 < clock.now <= 3


def test_window_zero_tries_once() -> None:
    clock, waits = Clock(), []
    with pytest.raises(StorageUnavailable):
        policy(clock, waits, window=0).run(failing(1), what="GET x")
    assert clock.pauses == []


def test_other_errors_pass_at_once() -> None:
    clock, waits = Clock(), []

    def call() -> None:
        raise KeyError("no")

    with pytest.raises(KeyError):
        policy(clock, waits).run(call, what="GET x")
    assert clock.pauses == []


def test_the_end_of_waiting_is_told_when_nobody_waits_any_more() -> None:
    clock, ends = Clock(), []
    retries = RetryPolicy(
        window_seconds=60, on_recovered=lambda: ends.append(clock.now), clock=lambda: clock.now, sleep=clock.sleep
    )

    def outer() -> str:
        if not clock.pauses:
            raise TemporaryFault("503")
        # Another call waits and recovers while this one still waits.
        assert retries.run(failing(1), what="GET y") == "done"
        assert ends == []
        return "outer"

    assert retries.run(outer, what="GET x") == "outer"
    assert ends == [clock.now]
    assert retries.run(failing(0), what="GET x") == "done"
    assert len(ends) == 1


def test_a_pause_that_the_store_asks_for_is_kept() -> None:
    clock = Clock()
    faults = iter([TemporaryFault("503", pause_seconds=7)])

    def call() -> str:
        for fault in faults:
            raise fault
        return "done"

    assert policy(clock, []).run(call, what="GET x") == "done"
    assert clock.pauses == [7]


def test_what_nobody_waits_for_any_more_is_not_tried_again() -> None:
    clock, given_up, calls = Clock(), threading.Event(), []

    def call() -> None:
        calls.append("call")
        raise TemporaryFault("503", pause_seconds=30)

    retries = policy(clock, [])
    given_up.set()
    with pytest.raises(StorageUnavailable):
        retries.run(call, what="PUT x", given_up=given_up)
    assert calls == ["call"]


def test_giving_up_ends_a_pause() -> None:
    given_up, ended = threading.Event(), []

    def call() -> None:
        raise TemporaryFault("503", pause_seconds=50)

    def wait() -> None:
        with pytest.raises(StorageUnavailable):
            RetryPolicy(window_seconds=60, on_wait=lambda message: given_up.set()).run(
                call, what="PUT x", given_up=given_up
            )
        ended.append(True)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    thread.join(10)
    assert ended == [True]

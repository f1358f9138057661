"""How many requests a store gets at once."""

import threading

import pytest

from paft_trainer.storage.congestion import Congestion
from paft_trainer.storage.retries import TemporaryFault


def refuse(congestion: Congestion, *, is_congestion: bool = True) -> None:
    with pytest.raises(TemporaryFault), congestion.request():
        raise TemporaryFault("503", is_congestion=is_congestion)


def test_refusals_halve_the_limit_and_successes_bring_it_back() -> None:
    now = [0.0]
    congestion = Congestion(at_most=16, clock=lambda: now[0])
    refuse(congestion)
    refuse(congestion)
    assert congestion.limit == 8
    now[0] = 2.0
    refuse(congestion)
    assert congestion.limit == 4
    for _ in range(1000):
        with congestion.request():
            pass
    assert congestion.limit == 16


def test_one_request_is_always_let_through_and_other_faults_count_for_nothing() -> None:
    now = [0.0]
    congestion = Congestion(at_most=2, clock=lambda: now[0])
    for _ in range(5):
        now[0] += 2
        refuse(congestion)
    assert congestion.limit == 1
    refuse(congestion, is_congestion=False)
    with pytest.raises(KeyError), congestion.request():
        raise KeyError
    with congestion.request():
        assert congestion.limit == 1


def test_more_than_the_limit_wait() -> None:
    congestion = Congestion(at_most=2)
    is_free, entered = threading.Event(), threading.Semaphore(0)

    def request() -> None:
        with congestion.request():
            entered.release()
            is_free.wait()

    threads = [threading.Thread(target=request) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert entered.acquire(timeout=10)
    assert entered.acquire(timeout=10)
    assert not entered.acquire(timeout=0.2)
    is_free.set()
    assert entered.acquire(timeout=10)
    for thread in threads:
        thread.join()

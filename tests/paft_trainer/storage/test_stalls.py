"""Transfers that are too slow, played by a proxy before a real server."""

import threading
from collections.abc import Iterator

import pytest
from tests.paft_trainer.storage.unreliable_proxy import UnreliableProxy, stall, trickle, unreliable_proxy

from paft_api.spec.storage import StorageSpec
from paft_trainer.storage.retries import RetryPolicy
from paft_trainer.storage.s3_connection import S3Connection
from paft_trainer.storage.s3_store import S3Store
from paft_trainer.storage.stalls import Patience, StallWatch


@pytest.fixture
def proxy(s3: StorageSpec) -> Iterator[UnreliableProxy]:
    assert s3.endpoint is not None
    with unreliable_proxy(s3.endpoint) as proxy:
        yield proxy


@pytest.mark.parametrize(
    ("fault", "patience", "said"),
    [
        (stall, Patience(silence_seconds=0.5), "stalled: no byte for"),
        (trickle, Patience(grace_seconds=0.5, least_bytes_per_second=1e6), "stalled: not 100 bytes within"),
    ],
    ids=["silent", "slow"],
)
def test_a_stalled_answer_is_asked_for_again(
    proxy: UnreliableProxy, s3: StorageSpec, fault: object, patience: Patience, said: str
) -> None:
    waits: list[str] = []
    store = S3Store(
        S3Connection(endpoint=proxy.endpoint),
        retries=RetryPolicy(window_seconds=20, on_wait=waits.append),
        patience=patience,
    )
    store.put(f"{s3.artifacts_uri}x", bytes(100))
    proxy.faults = [("GET", "artifacts/x", fault)]
    assert store.read_range(f"{s3.artifacts_uri}x", 0, 100) == bytes(100)
    (wait,) = waits
    assert said in wait
    assert sum(request.startswith("GET") for request in proxy.requests) == 2


def test_the_watch_ends_when_nothing_is_watched() -> None:
    watch = StallWatch(Patience())
    for _ in range(2):
        with watch.transfer(lambda: None, 1):
            assert any(thread.name == "paft-stalls" for thread in threading.enumerate())
        for thread in threading.enumerate():
            if thread.name == "paft-stalls":
                thread.join(10)
                assert not thread.is_alive()

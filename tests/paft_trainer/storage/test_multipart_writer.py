"""Parts of one streamed write, sent together to a real server behind a proxy."""

import time
from collections.abc import Callable, Iterator

import pytest
from tests.paft_trainer.storage.unreliable_proxy import (
    Answer,
    Fault,
    UnreliableProxy,
    _Handler,
    answer_with,
    damage_request,
    lose_answer,
    unreliable_proxy,
)

from paft_api.spec.storage import StorageSpec
from paft_trainer.storage import StorageUnavailable
from paft_trainer.storage.retries import RetryPolicy
from paft_trainer.storage.s3_connection import Checksums, S3Connection
from paft_trainer.storage.s3_store import S3Store

PART = 5 * 1024 * 1024
WINDOW_SECONDS = 30.0


@pytest.fixture
def proxy(s3: StorageSpec) -> Iterator[UnreliableProxy]:
    assert s3.endpoint is not None
    with unreliable_proxy(s3.endpoint) as proxy:
        yield proxy


def store_behind(proxy: UnreliableProxy, *, checksums: Checksums = "when_required") -> S3Store:
    connection = S3Connection(endpoint=proxy.endpoint, checksums=checksums)
    return S3Store(connection, retries=RetryPolicy(window_seconds=WINDOW_SECONDS), part_bytes=PART)


def content_of(parts: int) -> bytes:
    return b"".join(bytes([number]) * PART for number in range(parts))


def after_request_for(text: str) -> Fault:
    """Answered only when another request has come."""

    def wait(handler: _Handler, ask: Callable[[], Answer]) -> None:
        deadline = time.monotonic() + 20
        while not any(text in request for request in handler.proxy.requests):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        handler.send(ask())

    return wait


def test_parts_are_sent_while_others_are_under_way(proxy: UnreliableProxy, s3: StorageSpec) -> None:
    store, uri, content = store_behind(proxy), f"{s3.artifacts_uri}x", content_of(3)
    proxy.faults = [("PUT", "partNumber=1", after_request_for("partNumber=3"))]
    with store.open_writer(uri) as writer:
        writer.write(content + b"end")
    assert store.read(uri) == content + b"end"


@pytest.mark.parametrize("checksums", ["when_required", "when_supported"])
def test_parts_that_fail_are_sent_again(proxy: UnreliableProxy, s3: StorageSpec, checksums: Checksums) -> None:
    store, uri, content = store_behind(proxy, checksums=checksums), f"{s3.artifacts_uri}x", content_of(4)
    proxy.faults = [
        ("PUT", "partNumber=1", answer_with(503, "SlowDown")),
        ("PUT", "partNumber=2", lose_answer),
        ("PUT", "partNumber=3", damage_request),
        ("POST", "uploads", answer_with(500, "InternalError")),
        ("POST", "uploadId", lose_answer),
    ]
    with store.open_writer(uri) as writer:
        writer.write(content)
    assert proxy.faults == []
    assert store.read(uri) == content


def test_a_part_that_is_refused_ends_the_write_though_others_are_waiting(
    proxy: UnreliableProxy, s3: StorageSpec
) -> None:
    store, uri = store_behind(proxy), f"{s3.artifacts_uri}x"
    proxy.faults = [("PUT", "partNumber=1", answer_with(400, "InvalidRequest"))]
    proxy.faults += [("PUT", "partNumber=2", answer_with(503, "SlowDown"))] * 100
    started = time.monotonic()
    with pytest.raises(StorageUnavailable, match="InvalidRequest"), store.open_writer(uri) as writer:
        writer.write(content_of(3))
    assert time.monotonic() - started < WINDOW_SECONDS
    assert list(store.unfinished_uploads(s3.artifacts_uri)) == []
    assert store.head(uri) is None


def test_many_writers_of_one_thread_do_not_wait_for_each_other(proxy: UnreliableProxy, s3: StorageSpec) -> None:
    store = store_behind(proxy)
    uris = [f"{s3.artifacts_uri}{number}" for number in range(20)]
    contexts = [store.open_writer(uri) for uri in uris]
    writers = [context.__enter__() for context in contexts]
    for writer in writers:
        writer.write(b"a" * (PART + 1))
    for context in contexts:
        context.__exit__(None, None, None)
    assert {store.head(uri).size for uri in uris} == {PART + 1}

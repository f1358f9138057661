"""One suite for both object stores; S3 is a real SeaweedFS."""

import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hack import seaweedfs

from paft_api.causes import Cause
from paft_api.spec.storage import StorageSpec
from paft_trainer.errors import ConfigInvalid
from paft_trainer.storage import (
    ObjectChanged,
    ObjectMissing,
    ObjectStore,
    PreconditionFailed,
    StorageAuth,
    StorageError,
    StorageUnavailable,
    open_store,
)
from paft_trainer.storage.retries import RetryPolicy
from paft_trainer.storage.s3_connection import S3Connection
from paft_trainer.storage.s3_store import S3Store


@pytest.fixture
def store(storage: StorageSpec) -> ObjectStore:
    return open_store(storage)


@pytest.fixture
def folder(storage: StorageSpec) -> str:
    return f"{storage.artifacts_uri}suite/"


def test_what_is_put_is_read_whole_and_in_ranges(store: ObjectStore, folder: str) -> None:
    content = bytes(range(256)) * 40
    store.put(f"{folder}a b/ü.bin", content)
    assert store.read(f"{folder}a b/ü.bin") == content
    assert store.read_range(f"{folder}a b/ü.bin", 100, 300) == content[100:400]
    assert store.read_range(f"{folder}a b/ü.bin", 100, 0) == b""
    info = store.head(f"{folder}a b/ü.bin")
    assert info is not None
    assert info.size == len(content)


def test_a_range_beyond_the_end_is_an_error(store: ObjectStore, folder: str) -> None:
    store.put(f"{folder}short", b"12345")
    with pytest.raises(StorageUnavailable, match="truncated|beyond|asked for"):
        store.read_range(f"{folder}short", 3, 10)


def test_missing_objects(store: ObjectStore, folder: str) -> None:
    assert store.head(f"{folder}none") is None
    store.delete(f"{folder}none")
    with pytest.raises(ObjectMissing, match="there is no such"):
        store.read(f"{folder}none")


def test_listing_is_recursive_ordered_and_keeps_to_its_prefix(store: ObjectStore, folder: str) -> None:
    for name in ("b/2", "b/10", "a", "bc", "b/sub/x"):
        store.put(folder + name, name.encode())
    assert [info.uri.removeprefix(folder) for info in store.list(f"{folder}b/")] == ["b/10", "b/2", "b/sub/x"]
    assert [info.uri.removeprefix(folder) for info in store.list(folder)] == ["a", "b/10", "b/2", "b/sub/x", "bc"]
    assert list(store.list(f"{folder}zzz/")) == []


def test_a_folder_is_listed_among_its_neighbours_where_its_name_belongs(store: ObjectStore, folder: str) -> None:
    for name in ("a.jsonl", "a/x", "a-b"):
        store.put(folder + name, b"")
    assert [info.uri.removeprefix(folder) for info in store.list(folder)] == ["a-b", "a.jsonl", "a/x"]


def test_a_changed_object_has_another_etag(store: ObjectStore, folder: str) -> None:
    store.put(f"{folder}x", b"one")
    before = store.head(f"{folder}x")
    store.put(f"{folder}x", b"two")
    after = store.head(f"{folder}x")
    assert before is not None
    assert after is not None
    assert before.etag != after.etag


def test_an_object_that_changed_under_us_is_an_error_that_says_so(store: ObjectStore, folder: str) -> None:
    store.put(f"{folder}x", b"one")
    before = store.head(f"{folder}x")
    assert before is not None
    assert store.read_range(f"{folder}x", 1, 2, etag=before.etag) == b"ne"
    store.put(f"{folder}x", b"two")
    after = store.head(f"{folder}x")
    assert after is not None
    with pytest.raises(ObjectChanged) as caught:
        store.read_range(f"{folder}x", 1, 2, etag=before.etag)
    assert f"x changed while it was read: its ETag was {before.etag}, now its ETag is {after.etag}" in (
        caught.value.message
    )
    assert caught.value.cause is Cause.ARTIFACT_MISMATCH
    store.delete(f"{folder}x")
    with pytest.raises(ObjectMissing):
        store.read_range(f"{folder}x", 1, 2, etag=before.etag)


def test_an_unfinished_upload_is_found_and_dropped(store: ObjectStore, folder: str) -> None:
    assert list(store.unfinished_uploads(folder)) == []
    with pytest.raises(StorageError), store.open_writer(f"{folder}sub/big") as writer:
        writer.write(b"a" * 9_000_000)
        (upload,) = store.unfinished_uploads(folder)
        assert list(store.unfinished_uploads(f"{folder}su")) == [upload]
        assert list(store.unfinished_uploads(f"{folder}other/")) == []
        assert abs(datetime.now(UTC) - upload.started_at) < timedelta(minutes=1)
        store.abort_upload(upload)
        assert list(store.unfinished_uploads(folder)) == []
    store.abort_upload(upload)
    assert list(store.list(folder)) == []


def test_a_conditional_put_keeps_what_is_there(store: ObjectStore, folder: str) -> None:
    store.put(f"{folder}claim", b"mine", only_if_absent=True)
    with pytest.raises(PreconditionFailed):
        store.put(f"{folder}claim", b"theirs", only_if_absent=True)
    assert store.read(f"{folder}claim") == b"mine"
    store.put(f"{folder}claim", b"mine", only_if_absent=True)


def test_of_racing_conditional_puts_one_wins(store: ObjectStore, folder: str) -> None:
    outcomes: list[str] = []
    barrier = threading.Barrier(6)

    def race(name: str) -> None:
        barrier.wait()
        try:
            store.put(f"{folder}race", name.encode(), only_if_absent=True)
            outcomes.append(name)
        except PreconditionFailed:
            pass

    threads = [threading.Thread(target=race, args=(str(number),)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [store.read(f"{folder}race").decode()] == outcomes


def test_a_streamed_write_appears_whole_and_only_at_its_end(store: ObjectStore, folder: str) -> None:
    with store.open_writer(f"{folder}big") as writer:
        for number in range(3):
            writer.write(bytes([number]) * 7_000_000)
        assert store.head(f"{folder}big") is None
    info = store.head(f"{folder}big")
    assert info is not None
    assert info.size == 21_000_000
    assert store.read_range(f"{folder}big", 13_999_999, 2) == b"\x01\x02"


def test_a_write_that_fails_leaves_nothing(store: ObjectStore, folder: str) -> None:
    with pytest.raises(KeyError), store.open_writer(f"{folder}torn") as writer:
        writer.write(b"x" * 10_000_000)
        raise KeyError
    assert list(store.list(folder)) == []


def test_another_scheme_is_refused(store: ObjectStore) -> None:
    with pytest.raises(ConfigInvalid, match="gs://b/k: no object store for this address"):
        store.read("gs://b/k")


def test_wrong_credentials_are_named_without_their_value(s3: StorageSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted-secret-value")
    with pytest.raises(StorageAuth) as caught:
        open_store(s3).read(f"{s3.artifacts_uri}x")
    assert caught.value.cause is Cause.STORAGE_AUTH
    assert "SignatureDoesNotMatch" in caught.value.message
    assert "AWS_ACCESS_KEY_ID" in caught.value.remedy
    assert "planted-secret-value" not in f"{caught.value.message}{caught.value.remedy}{caught.value!r}"


def test_no_credentials(s3: StorageSpec, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(StorageAuth, match="no credentials"):
        open_store(s3).read(f"{s3.artifacts_uri}x")


def test_a_missing_bucket(s3: StorageSpec) -> None:
    with pytest.raises(ObjectMissing, match="there is no such bucket"):
        list(open_store(s3).list("s3://nobody-made-this-bucket/x/"))


def test_a_dead_endpoint_is_tried_for_the_window_and_named(s3: StorageSpec) -> None:
    waits: list[str] = []
    dead = s3.model_copy(update={"endpoint": "http://127.0.0.1:9", "retry_window": 1})
    with pytest.raises(StorageUnavailable) as caught:
        open_store(dead, on_wait=waits.append).read("s3://bucket/key")
    assert "s3://bucket/key at http://127.0.0.1:9" in caught.value.message
    assert "storage.retryWindow of 1 s" in caught.value.message
    assert waits


def test_a_server_that_comes_back_within_the_window_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = seaweedfs.start(tmp_path)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    retries = RetryPolicy(window_seconds=30, sleep=lambda seconds: time.sleep(min(seconds, 0.1)))
    store = S3Store(S3Connection(endpoint=server.endpoint), retries=retries)
    store._calls.client().create_bucket(Bucket="waiting")
    store.put("s3://waiting/key", b"kept")
    seaweedfs.stop(tmp_path, grace_seconds=0)
    port = int(server.endpoint.rpartition(":")[2])
    restart = threading.Timer(1.0, lambda: seaweedfs.start(tmp_path, port=port))
    restart.start()
    try:
        assert store.read("s3://waiting/key") == b"kept"
    finally:
        restart.join()
        seaweedfs.stop(tmp_path, grace_seconds=0)

"""What goes wrong between us and an S3 server, played by a proxy before a real one."""

import hashlib
from collections.abc import Iterator

import boto3
import pytest
from hack import seaweedfs
from tests.paft_trainer.storage.unreliable_proxy import (
    UnreliableProxy,
    answer_with,
    cut_answer,
    lose_answer,
    pass_on,
    unreliable_proxy,
)

from paft_api.causes import CAUSE_FACTS, Cause
from paft_api.spec.storage import StorageSpec
from paft_trainer.errors import ConfigInvalid
from paft_trainer.publishing import claim_folder, supports_conditional_put
from paft_trainer.storage import ObjectStore, OperationUnsupported, PreconditionFailed, StorageAuth, StorageUnavailable
from paft_trainer.storage.multipart_writer import MAXIMUM_PARTS, multipart_etag, part_bytes
from paft_trainer.storage.open_store import open_store
from paft_trainer.storage.s3_store import FIRST_PART_BYTES

MIB = 1024 * 1024


@pytest.fixture
def proxy(s3: StorageSpec) -> Iterator[UnreliableProxy]:
    assert s3.endpoint is not None
    with unreliable_proxy(s3.endpoint) as proxy:
        yield proxy


@pytest.fixture
def store(s3: StorageSpec, proxy: UnreliableProxy) -> ObjectStore:
    return open_store(s3.model_copy(update={"endpoint": proxy.endpoint}))


def uploads_in_progress(server: seaweedfs.S3Server, folder: str) -> int:
    bucket, _, prefix = folder.removeprefix("s3://").partition("/")
    client = boto3.client("s3", endpoint_url=server.endpoint, region_name="us-east-1")
    found = client.list_multipart_uploads(Bucket=bucket, Prefix=prefix).get("Uploads", [])
    client.close()
    return len(found)


@pytest.mark.parametrize(
    "fault",
    [
        answer_with(503, "SlowDown"),
        answer_with(500, "InternalError"),
        answer_with(409, "ConditionalRequestConflict"),
        answer_with(429, "TooManyRequests"),
        lose_answer,
        cut_answer,
    ],
    ids=["SlowDown", "InternalError", "Conflict", "TooManyRequests", "lost", "cut"],
)
def test_what_passes_is_tried_again(store: ObjectStore, proxy: UnreliableProxy, s3: StorageSpec, fault: object) -> None:
    uri = f"{s3.artifacts_uri}x"
    store.put(uri, b"0123456789")
    proxy.faults = [("GET", "artifacts/x", fault)]
    assert store.read_range(uri, 2, 6) == b"234567"
    assert proxy.faults == []
    assert sum(request.startswith("GET") for request in proxy.requests) == 2


def test_a_claim_whose_answer_was_lost_is_ours(store: ObjectStore, proxy: UnreliableProxy, s3: StorageSpec) -> None:
    proxy.faults = [("PUT", "claim", lose_answer)]
    store.put(f"{s3.artifacts_uri}claim", b"ours", only_if_absent=True)
    assert proxy.faults == []
    proxy.faults = [("PUT", "claim", lose_answer)]
    with pytest.raises(PreconditionFailed):
        store.put(f"{s3.artifacts_uri}claim", b"theirs", only_if_absent=True)


@pytest.mark.parametrize(
    "second", [[], [("POST", "uploadId", answer_with(404, "NoSuchUpload"))]], ids=["kept", "forgotten"]
)
def test_an_upload_whose_completion_was_not_heard_of_is_complete(
    store: ObjectStore, proxy: UnreliableProxy, s3: StorageSpec, second: list[object]
) -> None:
    proxy.faults = [("POST", "uploadId", lose_answer), *second]
    with store.open_writer(f"{s3.artifacts_uri}big") as writer:
        writer.write(b"a" * 9 * MIB)
    assert proxy.faults == []
    info = store.head(f"{s3.artifacts_uri}big")
    assert info is not None
    assert info.size == 9 * MIB


def test_an_upload_that_the_store_forgot_is_no_success(
    store: ObjectStore, proxy: UnreliableProxy, s3: StorageSpec
) -> None:
    uri = f"{s3.artifacts_uri}big"
    store.put(uri, b"an older object of this name")
    proxy.faults = [("DELETE", "uploadId", lose_answer), ("POST", "uploadId", answer_with(404, "NoSuchUpload"))]
    with (
        pytest.raises(StorageUnavailable, match="does not know this upload any more"),
        store.open_writer(uri) as writer,
    ):
        writer.write(b"a" * 9 * MIB)
    assert proxy.faults == []


def test_a_write_that_fails_leaves_no_parts(
    store: ObjectStore, s3_server: seaweedfs.S3Server, s3: StorageSpec, proxy: UnreliableProxy
) -> None:
    with pytest.raises(KeyError), store.open_writer(f"{s3.artifacts_uri}torn") as writer:
        writer.write(b"a" * 9 * MIB)
        assert uploads_in_progress(s3_server, s3.artifacts_uri) == 1
        raise KeyError
    assert uploads_in_progress(s3_server, s3.artifacts_uri) == 0
    proxy.faults = [("POST", "uploadId", answer_with(400, "InvalidPart"))]
    with pytest.raises(StorageUnavailable, match="InvalidPart"), store.open_writer(f"{s3.artifacts_uri}torn") as writer:
        writer.write(b"a" * 9 * MIB)
    assert uploads_in_progress(s3_server, s3.artifacts_uri) == 0


@pytest.mark.parametrize(("status", "code"), [(403, "AccessDenied"), (401, "Unheard")])
def test_refusals_are_not_tried_again(
    store: ObjectStore, proxy: UnreliableProxy, s3: StorageSpec, status: int, code: str
) -> None:
    proxy.faults = [("GET", "x", answer_with(status, code))]
    with pytest.raises(StorageAuth) as caught:
        store.read(f"{s3.artifacts_uri}x")
    assert caught.value.message == f"{s3.artifacts_uri}x at {proxy.endpoint}: refused ({code})"
    assert caught.value.remedy == CAUSE_FACTS[Cause.STORAGE_AUTH].remedy
    assert len(proxy.requests) == 1


def test_a_store_that_knows_no_conditions_is_found_out(
    store: ObjectStore, proxy: UnreliableProxy, s3: StorageSpec
) -> None:
    refuse = ("PUT", "paft_claim", answer_with(501, "NotImplemented"))
    proxy.faults = [("PUT", "probe", pass_on), ("PUT", "probe", answer_with(501, "NotImplemented"))]
    assert not supports_conditional_put(store, f"{s3.artifacts_uri}probe")
    proxy.faults = [refuse]
    with pytest.raises(OperationUnsupported):
        claim_folder(store, f"{s3.artifacts_uri}a/", {"r": 1}, manifest_name="m")
    proxy.faults = [refuse]
    held = claim_folder(store, f"{s3.artifacts_uri}b/", {"r": 2}, manifest_name="m", allow_unconditional=True)
    assert held == {"r": 2}
    assert proxy.faults == []


def test_an_address_that_cannot_be_one_is_said_at_once(store: ObjectStore) -> None:
    with pytest.raises(ConfigInvalid, match="Invalid bucket name"):
        store.read("s3://no bucket/x")


def test_ten_thousand_parts_hold_five_terabytes() -> None:
    sizes = [part_bytes(number, first=FIRST_PART_BYTES) for number in range(1, MAXIMUM_PARTS + 1)]
    assert sizes[:2] == [FIRST_PART_BYTES] * 2
    assert sum(sizes) >= 5 * 1024**4
    assert max(sizes) <= 5 * 1024**3


def test_etags_that_are_no_md5_prove_nothing() -> None:
    part = hashlib.md5(b"part", usedforsecurity=False)
    expected = hashlib.md5(part.digest(), usedforsecurity=False).hexdigest()
    assert multipart_etag([f'"{part.hexdigest()}"']) == f'"{expected}-1"'
    assert multipart_etag(['"not-hexadecimal"']) is None

"""Claims, on both kinds of storage."""

import hashlib
import threading

import pytest

from paft_api.layout import CLAIM_FILE, PROBE_PREFIX
from paft_api.spec.storage import StorageSpec
from paft_trainer.errors import ArtifactMismatch
from paft_trainer.publishing import claim_folder, supports_conditional_put, write_hashed
from paft_trainer.storage import open_store


def test_the_first_claim_holds_and_is_told_to_the_second(storage: StorageSpec) -> None:
    store, folder = open_store(storage), f"{storage.artifacts_uri}out/"
    assert claim_folder(store, folder, {"recipe": "a"}, manifest_name="m.json") == {"recipe": "a"}
    store.put(f"{folder}shard", b"x")
    assert claim_folder(store, folder, {"recipe": "b"}, manifest_name="m.json") == {"recipe": "a"}
    assert claim_folder(store, folder, {"recipe": "a"}, manifest_name="m.json") == {"recipe": "a"}


@pytest.mark.parametrize("allow_unconditional", [False, True])
def test_a_foreign_folder_is_refused_and_left_as_it_is(storage: StorageSpec, allow_unconditional: bool) -> None:
    store, folder = open_store(storage), f"{storage.artifacts_uri}out/"
    store.put(f"{folder}model.safetensors", b"somebody's")
    with pytest.raises(ArtifactMismatch) as caught:
        claim_folder(store, folder, {"r": 1}, manifest_name="m.json", allow_unconditional=allow_unconditional)
    assert caught.value.message == (
        f"{folder} is not empty and was not written by PAFT: it holds {folder}model.safetensors, "
        f"but no {CLAIM_FILE} and no m.json of ours"
    )
    assert [info.uri for info in store.list(folder)] == [f"{folder}model.safetensors"]


def test_attempts_beside_it_do_not_make_a_folder_foreign(storage: StorageSpec) -> None:
    store, folder = open_store(storage), f"{storage.artifacts_uri}sft/abc/"
    store.put(f"{folder}attempts/u-1/x", b"")
    assert claim_folder(store, folder, {"r": 1}, manifest_name="m.json") == {"r": 1}


@pytest.mark.parametrize("content", [b"not json", b"[]", b"\xff"])
def test_a_claim_that_is_none_is_refused(storage: StorageSpec, content: bytes) -> None:
    store, folder = open_store(storage), f"{storage.artifacts_uri}out/"
    store.put(folder + CLAIM_FILE, content)
    with pytest.raises(ArtifactMismatch) as caught:
        claim_folder(store, folder, {"r": 1}, manifest_name="m.json")
    assert caught.value.message == f"{folder}{CLAIM_FILE} is no claim of PAFT: it holds no JSON object"
    assert store.read(folder + CLAIM_FILE) == content


def test_a_probe_that_a_killed_job_left_does_not_make_a_folder_foreign(
    storage: StorageSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, folder = open_store(storage), f"{storage.artifacts_uri}out/"
    monkeypatch.setattr(store, "delete", lambda uri: None)
    assert supports_conditional_put(store, f"{folder}{PROBE_PREFIX}uid-1")
    assert len(list(store.list(folder))) == 1
    assert claim_folder(store, folder, {"r": 1}, manifest_name="m.json") == {"r": 1}


def test_of_racing_claims_all_see_one_winner(storage: StorageSpec) -> None:
    store, folder = open_store(storage), f"{storage.artifacts_uri}out/"
    barrier = threading.Barrier(5)
    held: list[dict[str, object]] = []

    def race(number: int) -> None:
        barrier.wait()
        held.append(claim_folder(store, folder, {"claimant": number}, manifest_name="m.json"))

    threads = [threading.Thread(target=race, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(held) == 5
    assert all(claim == held[0] for claim in held)


def test_both_kinds_of_storage_support_conditions_and_the_probe_cleans_up(storage: StorageSpec) -> None:
    store = open_store(storage)
    assert supports_conditional_put(store, f"{storage.artifacts_uri}probe")
    assert list(store.list(storage.artifacts_uri)) == []


def test_a_hashed_write_tells_size_and_sha256(local_storage: StorageSpec) -> None:
    store = open_store(local_storage)
    chunks = [b"abc", b"", b"defg"]
    size, sha256 = write_hashed(store, f"{local_storage.artifacts_uri}x", chunks)
    assert (size, sha256) == (7, hashlib.sha256(b"abcdefg").hexdigest())
    assert store.read(f"{local_storage.artifacts_uri}x") == b"abcdefg"

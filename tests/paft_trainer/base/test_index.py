"""Bases that are read for the first time, again, and by a process that is killed on the way."""

import hashlib
import json
import os
import time
from pathlib import Path

import pytest
from tests.paft_trainer.base.index_processes import OtherArtifacts, WatchedStore, start_stuck_indexing
from tests.paft_trainer.base.indexed_bases import SHARDED, SINGLE, Shapes, put_base

from paft_api.layout import index_uri, pieces_uri, unfinished_index_folder
from paft_api.spec.storage import StorageSpec
from paft_trainer.base import indexing
from paft_trainer.base.index import file_sha256, index_base, index_pieces, known_index
from paft_trainer.base.kept_index import BaseIndex, read_pieces
from paft_trainer.errors import ArtifactMismatch
from paft_trainer.read_ahead import ReadAhead
from paft_trainer.storage import ObjectChanged, ObjectMissing, open_store
from paft_trainer.storage.file_store import FileStore, uri_of

STRETCH = 1024**2
DIGEST = "sha256:907a7b482e9c84afea9cf9a3c656218b829e68383a7dafd94f74fbf70d2449a5"
"""What version 1 of the index, which knew no pieces, said of both."""


@pytest.fixture(autouse=True)
def _short_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "STRETCH_BYTES", STRETCH)


@pytest.mark.parametrize("shapes", [SHARDED, SINGLE], ids=["sharded", "single"])
def test_the_digest_is_as_before_and_every_piece_has_its_hash(storage: StorageSpec, shapes: Shapes) -> None:
    store, base = open_store(storage), f"{storage.artifacts_uri}base/"
    expected = put_base(store, base, shapes)
    index = index_base(store, base, storage.artifacts_uri)
    pieces = read_pieces(store, storage.artifacts_uri, index)
    assert index.digest == pieces.base_digest == DIGEST
    assert dict(pieces.files) == expected.files
    assert [*pieces.tensors.values()] == [*expected.tensors.values()]
    assert index_base(store, base, storage.artifacts_uri) == index == known_index(store, base, storage.artifacts_uri)
    assert index_base(store, base, None) == index.model_copy(update={"pieces": None})
    assert index_pieces(store, base) == pieces
    kept = [info.uri.removeprefix(storage.artifacts_uri) for info in store.list(f"{storage.artifacts_uri}index/")]
    assert sorted(Path(name).suffix for name in kept) == [".json", ".pieces"]


def test_each_byte_is_read_once_and_told(tmp_path: Path) -> None:
    store, base, artifacts = WatchedStore(), f"{uri_of(tmp_path)}/base/", f"{uri_of(tmp_path)}/artifacts/"
    put_base(store, base, SHARDED)
    sizes: list[int] = []
    done: list[int] = []
    index = index_base(store, base, artifacts, on_bytes=done.append, on_size=sizes.append)
    weights = sum(file.size for file in index.files if file.name.endswith(".safetensors"))
    assert store.given == weights
    assert sizes == [sum(file.size for file in index.files)]
    assert sum(done) == sizes[0]
    index_base(store, base, artifacts, on_bytes=done.append, on_size=sizes.append)
    assert (store.given, len(sizes), sum(done)) == (weights, 1, sizes[0])


def test_a_killed_reader_leaves_what_it_has_hashed(storage: StorageSpec, tmp_path: Path) -> None:
    base = f"{uri_of(tmp_path)}/base/"
    whole = put_base(FileStore(), base, SINGLE).size
    reader = start_stuck_indexing(base, storage, stretch_bytes=STRETCH, most=6_000)
    reader.kill()
    reader.join()
    reader = start_stuck_indexing(base, storage, stretch_bytes=STRETCH, most=5_100_000)
    artifacts = open_store(storage)
    deadline = time.monotonic() + 30
    folder = f"{storage.artifacts_uri}index/"
    while not [*artifacts.list(folder)] and time.monotonic() < deadline:
        time.sleep(0.05)
    reader.kill()
    reader.join()
    watched = WatchedStore()
    store = OtherArtifacts(watched, artifacts)
    sizes: list[int] = []
    done: list[int] = []
    index = index_base(store, base, storage.artifacts_uri, on_bytes=done.append, on_size=sizes.append)
    assert index.digest == DIGEST
    assert watched.given < whole
    assert sum(done) == sizes[0] > whole
    assert not [*artifacts.list(unfinished_index_folder(storage.artifacts_uri, index.pieces.listing_digest))]
    assert len([*artifacts.list(folder)]) == 2


def listing_digest_of(index: BaseIndex) -> str:
    assert index.pieces is not None
    return index.pieces.listing_digest


def test_broken_records_and_those_of_other_bases_are_read_again(tmp_path: Path) -> None:
    store, base, artifacts = WatchedStore(), f"{uri_of(tmp_path)}/base/", f"{uri_of(tmp_path)}/artifacts/"
    put_base(store, base, SINGLE)
    index = index_base(store, base, artifacts)
    listing, pieces = listing_digest_of(index), store.read(pieces_uri(artifacts, listing_digest_of(index)))
    store.delete(index_uri(artifacts, listing))
    folder = unfinished_index_folder(artifacts, listing)
    # The last is whole, but says that it is of a base, and not of this listing.
    for number, content in enumerate((b"", b"\xff" * 100, pieces[:-1], pieces)):
        store.put(f"{folder}{number:06d}.pieces", content)
    before = store.given
    assert index_base(store, base, artifacts) == index
    assert store.given == 2 * before


def test_records_that_outlived_their_reader_go_when_the_index_is_found(storage: StorageSpec) -> None:
    """One that is killed between keeping the index and deleting them leaves both."""
    store, base = open_store(storage), f"{storage.artifacts_uri}base/"
    put_base(store, base, SINGLE)
    index = index_base(store, base, storage.artifacts_uri)
    folder = unfinished_index_folder(storage.artifacts_uri, listing_digest_of(index))
    store.put(f"{folder}000000.pieces", b"what was hashed")
    assert index_base(store, base, storage.artifacts_uri) == index
    assert not [*store.list(folder)]


@pytest.mark.parametrize("lost", ["pieces", "index", "cut"])
def test_a_base_whose_index_is_not_whole_is_read_again(lost: str, storage: StorageSpec) -> None:
    store, base = open_store(storage), f"{storage.artifacts_uri}base/"
    put_base(store, base, SHARDED)
    index = index_base(store, base, storage.artifacts_uri)
    uri = pieces_uri(storage.artifacts_uri, listing_digest_of(index))
    content = store.read(uri)
    if lost == "cut":
        store.put(uri, content[:-1])
    else:
        store.delete(uri if lost == "pieces" else index_uri(storage.artifacts_uri, listing_digest_of(index)))
    assert known_index(store, base, storage.artifacts_uri) is None
    assert index_base(store, base, storage.artifacts_uri) == index
    assert store.read(uri) == content


def test_an_index_without_pieces_as_it_was_kept_before_is_completed(tmp_path: Path) -> None:
    store, base, artifacts = FileStore(), f"{uri_of(tmp_path)}/base/", f"{uri_of(tmp_path)}/artifacts/"
    put_base(store, base, SINGLE)
    index = index_base(store, base, artifacts)
    uri = index_uri(artifacts, listing_digest_of(index))
    document = json.loads(store.read(uri))
    del document["pieces"]
    store.put(uri, json.dumps(document | {"formatVersion": 1}).encode())
    assert index_base(store, base, artifacts) == index
    assert json.loads(store.read(uri))["formatVersion"] == 2


def test_pieces_that_are_not_the_indexs_are_refused(tmp_path: Path) -> None:
    store, base, artifacts = FileStore(), f"{uri_of(tmp_path)}/base/", f"{uri_of(tmp_path)}/artifacts/"
    put_base(store, base, SINGLE)
    index = index_base(store, base, artifacts)
    uri = pieces_uri(artifacts, listing_digest_of(index))
    content = store.read(uri)
    store.put(uri, content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ArtifactMismatch, match="is not what its index says") as caught:
        read_pieces(store, artifacts, index)
    assert caught.value.remedy == "Delete it; the base is then read again."
    store.delete(uri)
    with pytest.raises(ObjectMissing):
        read_pieces(store, artifacts, index)


class ChangingStore(FileStore):
    """The base is written to while it is read."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._reads = 0

    def read_range(self, uri: str, start: int, size: int, *, etag: str | None = None) -> bytes:
        self._reads += 1
        if self._reads == 3:
            os.utime(self._path, ns=(1, 1))
        return super().read_range(uri, start, size, etag=etag)


def test_a_base_that_is_written_to_while_it_is_read_is_told(tmp_path: Path) -> None:
    base = f"{uri_of(tmp_path)}/base/"
    put_base(FileStore(), base, SINGLE)
    store = ChangingStore(tmp_path / "base" / "model.safetensors")
    with pytest.raises(ObjectChanged):
        index_base(store, base, f"{uri_of(tmp_path)}/artifacts/")


def test_hashes_of_files_are_those_of_the_index_also_where_there_is_no_base(tmp_path: Path) -> None:
    store, base = FileStore(), f"{uri_of(tmp_path)}/"
    put_base(store, base, SHARDED)
    with ReadAhead(store) as reads:
        for file in index_base(store, base, None).files:
            info = store.head(base + file.name)
            assert info is not None
            assert file_sha256(reads, info, name=file.name) == file.sha256
        store.put(f"{base}model-00001-of-00002.safetensors", b"broken")
        info = store.head(f"{base}model-00001-of-00002.safetensors")
        assert info is not None
        sha256 = file_sha256(reads, info, name="model-00001-of-00002.safetensors")
        assert sha256 == hashlib.sha256(b"broken").hexdigest()

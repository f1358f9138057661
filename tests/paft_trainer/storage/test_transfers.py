"""Whole objects to and from files."""

import os
import threading
from pathlib import Path

import pytest

from paft_api.spec.storage import StorageSpec
from paft_trainer.storage import ObjectChanged, ObjectMissing, ObjectStore, open_store
from paft_trainer.storage.transfers import CHUNK_BYTES, download, upload


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, 3 * CHUNK_BYTES + 7])
def test_what_goes_up_comes_down(storage: StorageSpec, tmp_path: Path, size: int) -> None:
    store, uri, content = open_store(storage), f"{storage.artifacts_uri}x", os.urandom(size)
    (tmp_path / "from").write_bytes(content)
    assert upload(store, tmp_path / "from", uri) == size
    assert download(store, uri, tmp_path / "to") == size
    assert (tmp_path / "to").read_bytes() == content
    assert store.read(uri) == content


def test_an_object_that_changes_meanwhile_is_no_mixture(
    local_storage: StorageSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, uri = open_store(local_storage), f"{local_storage.artifacts_uri}x"
    store.put(uri, b"a" * (2 * CHUNK_BYTES))
    read_range, has_changed = store.read_range, threading.Event()

    def changing(uri: str, start: int, size: int, *, etag: str | None = None) -> bytes:
        if start:
            has_changed.wait()
            return read_range(uri, start, size, etag=etag)
        content = read_range(uri, start, size, etag=etag)
        store.put(uri, b"b" * (2 * CHUNK_BYTES))
        has_changed.set()
        return content

    monkeypatch.setattr(store, "read_range", changing)
    with pytest.raises(ObjectChanged):
        download(store, uri, tmp_path / "to")


def test_a_missing_object_makes_no_file(local_storage: StorageSpec, tmp_path: Path) -> None:
    store: ObjectStore = open_store(local_storage)
    with pytest.raises(ObjectMissing):
        download(store, f"{local_storage.artifacts_uri}none", tmp_path / "to")
    assert not (tmp_path / "to").exists()

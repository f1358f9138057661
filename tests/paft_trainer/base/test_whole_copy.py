"""A base as a folder."""

from pathlib import Path

import pytest
from tests.paft_trainer.base.indexed_bases import SHARDED, SINGLE, Shapes, put_base

from paft_api.spec.storage import StorageSpec
from paft_trainer.base.cached_pieces import CachedPieces
from paft_trainer.base.index import index_base
from paft_trainer.base.kept_index import read_pieces
from paft_trainer.base.store_pieces import StorePieces
from paft_trainer.base.whole_copy import whole_copy
from paft_trainer.errors import ArtifactMismatch
from paft_trainer.storage import ObjectChanged, open_store
from paft_trainer.storage.file_store import FileStore, uri_of


@pytest.mark.parametrize("shapes", [SHARDED, SINGLE], ids=["sharded", "single"])
def test_it_has_all_files_as_they_are_and_shares_the_nodes_cache(
    s3: StorageSpec, shapes: Shapes, tmp_path: Path
) -> None:
    store, base = open_store(s3), f"{s3.artifacts_uri}base/"
    put_base(store, base, shapes)
    index = index_base(store, base, s3.artifacts_uri)
    pieces = read_pieces(store, s3.artifacts_uri, index)
    expected = {info.uri.removeprefix(base): store.read(info.uri) for info in store.list(base)}
    for name, read in (("first", pieces.size), ("second", 0)):
        source = CachedPieces(StorePieces(store, base, pieces), tmp_path / "node", max_bytes=2**40)
        folder = whole_copy(store, base, index, source, tmp_path / name)
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == expected
        assert source.bytes_read == read
    assert whole_copy(store, base, index, source, tmp_path / "second") == folder
    assert sorted(path.name for path in (tmp_path / "second").iterdir()) == [folder.name, f"{folder.name}.lock"]


def test_a_base_on_this_machine_is_used_where_it_lies(tmp_path: Path) -> None:
    base = f"{uri_of(tmp_path)}/base/"
    put_base(FileStore(), base, SINGLE)
    artifacts = f"{uri_of(tmp_path)}/artifacts/"
    index = index_base(FileStore(), base, artifacts)
    source = StorePieces(FileStore(), base, read_pieces(FileStore(), artifacts, index))
    assert whole_copy(FileStore(), base, index, source, tmp_path / "cache") == tmp_path / "base"
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_nothing_is_there_where_a_file_has_changed(name: str, s3: StorageSpec, tmp_path: Path) -> None:
    store, base = open_store(s3), f"{s3.artifacts_uri}base/"
    put_base(store, base, SINGLE)
    index = index_base(store, base, s3.artifacts_uri)
    source = StorePieces(store, base, read_pieces(store, s3.artifacts_uri, index))
    store.put(base + name, store.read(base + name) + b" ")
    with pytest.raises(ObjectChanged):
        whole_copy(store, base, index, source, tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.is_dir() and not path.name.endswith(".partial")]


@pytest.mark.parametrize("position", ["config", "header"])
def test_what_is_not_as_indexed_under_the_same_etag_is_refused(position: str, s3: StorageSpec, tmp_path: Path) -> None:
    store, base = open_store(s3), f"{s3.artifacts_uri}base/"
    put_base(store, base, SINGLE)
    index = index_base(store, base, s3.artifacts_uri)
    pieces = read_pieces(store, s3.artifacts_uri, index)
    name = "config.json" if position == "config" else "model.safetensors"

    class Wrong:
        def read_range(self, uri: str, start: int, size: int, *, etag: str | None = None) -> bytes:
            content = store.read_range(uri, start, size, etag=etag)
            return content[:-1] + b"?" if uri.endswith(name) else content

    with pytest.raises(ArtifactMismatch, match=f"{name} has changed since it was indexed"):
        whole_copy(Wrong(), base, index, StorePieces(store, base, pieces), tmp_path)

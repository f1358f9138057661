"""Which source of pieces a RunSpec asks for."""

from pathlib import Path

import pytest
from tests.paft_trainer.base.indexed_bases import SINGLE, put_base
from tests.run_specs import arm_run_spec

from paft_api.run_spec import NodeCache, RunSpec
from paft_trainer.base.cached_pieces import CachedPieces
from paft_trainer.base.index import index_pieces
from paft_trainer.base.open_pieces import open_pieces
from paft_trainer.base.piece_index import PieceIndex
from paft_trainer.base.store_pieces import StorePieces
from paft_trainer.storage.file_store import FileStore, uri_of


@pytest.fixture
def index(tmp_path: Path) -> PieceIndex:
    put_base(FileStore(), f"{uri_of(tmp_path)}/base/", SINGLE)
    return index_pieces(FileStore(), f"{uri_of(tmp_path)}/base/")


def run_spec(root: Path, *, uri: str, cache: Path | None) -> RunSpec:
    spec = arm_run_spec("sft", base=root / "base", data=root / "chats.jsonl", artifacts=root / "artifacts")
    node_cache = None if cache is None else NodeCache(directory=str(cache), max_bytes=2**30)
    return spec.model_copy(update={"base": spec.base.model_copy(update={"uri": uri}), "base_cache": node_cache})


def test_the_nodes_cache_is_used_where_there_is_one_for_what_is_not_on_the_node(
    index: PieceIndex, tmp_path: Path
) -> None:
    for uri, cache, kind in (
        ("s3://bucket/base/", tmp_path / "node", CachedPieces),
        ("s3://bucket/base/", None, StorePieces),
        (f"file://{tmp_path}/base/", tmp_path / "unused", StorePieces),
    ):
        notices: list[str] = []
        spec = run_spec(tmp_path, uri=uri, cache=cache)
        assert type(open_pieces(FileStore(), spec, index, on_notice=notices.append)) is kind
        assert notices == []
    assert not (tmp_path / "unused").exists()


def test_a_cache_that_cannot_be_made_is_told_and_done_without(index: PieceIndex, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    notices: list[str] = []
    spec = run_spec(tmp_path, uri="s3://bucket/base/", cache=tmp_path / "file" / "node")
    assert type(open_pieces(FileStore(), spec, index, on_notice=notices.append)) is StorePieces
    assert notices == [
        f"{tmp_path}/file/node: the node's cache cannot be used: Not a directory; the base is read directly"
    ]

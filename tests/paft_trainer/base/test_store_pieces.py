"""Pieces from files and from a real S3 server."""

import os
from collections.abc import Iterable
from pathlib import Path

import pytest
from tests.paft_trainer.base.indexed_bases import SHARDED, SINGLE, Shapes, content_of, put_files

from paft_api.spec.storage import StorageSpec
from paft_trainer.base.piece_index import PieceIndex, PieceRun
from paft_trainer.base.store_pieces import StorePieces
from paft_trainer.errors import ArtifactMismatch
from paft_trainer.storage import ObjectChanged, open_store
from paft_trainer.storage.file_store import FileStore, uri_of


def all_runs(index: PieceIndex) -> list[PieceRun]:
    return [tensor.all_pieces for tensor in index.tensors.values()]


def collected(given: Iterable[tuple[PieceRun, memoryview]]) -> dict[str, bytes]:
    """The bytes by tensor, zero where none came; every piece may come once."""
    contents: dict[str, bytearray] = {}
    seen: set[tuple[str, int]] = set()
    for run, content in given:
        assert len(content) == run.size
        pieces = {(run.tensor.name, piece) for piece in range(run.first, run.first + run.count)}
        assert not pieces & seen
        seen |= pieces
        contents.setdefault(run.tensor.name, bytearray(run.tensor.size))[run.start : run.stop] = content
    return {name: bytes(content) for name, content in contents.items()}


@pytest.mark.parametrize("shapes", [SHARDED, SINGLE], ids=["sharded", "single"])
def test_all_tensors_come_as_they_are(storage: StorageSpec, shapes: Shapes) -> None:
    store, base = open_store(storage), f"{storage.artifacts_uri}base/"
    index = put_files(store, base, shapes)
    source = StorePieces(store, base, index)
    expected = {name: content_of(store, base, tensor) for name, tensor in index.tensors.items() if tensor.size > 0}
    assert collected(source.read(all_runs(index))) == expected
    assert source.bytes_read == index.size


def test_slices_come_with_the_pieces_that_cover_them_and_little_else(storage: StorageSpec) -> None:
    store, base = open_store(storage), f"{storage.artifacts_uri}base/"
    index = put_files(store, base, SHARDED)
    source = StorePieces(store, base, index)
    for half in (0, 1):
        before = source.bytes_read
        runs = []
        for tensor in index.tensors.values():
            middle = -(-tensor.size // 2)
            runs.append(tensor.covering(middle, tensor.size) if half else tensor.covering(0, middle))
        found = collected(source.read(runs))
        for run in runs:
            if run.count:
                content = content_of(store, base, run.tensor)[run.start : run.stop]
                assert found[run.tensor.name][run.start : run.stop] == content
        assert source.bytes_read - before <= 1.02 * sum(run.size for run in runs)


def test_nothing_is_read_for_no_pieces(tmp_path: Path) -> None:
    base = f"{uri_of(tmp_path)}/"
    index = put_files(FileStore(), base, SINGLE)
    source = StorePieces(FileStore(), base, index)
    assert [*source.read([])] == [*source.read([index.tensors["empty"].all_pieces])] == []
    assert source.bytes_read == 0


def rot(path: Path, position: int) -> None:
    """Change a byte as a disk does: the file looks as before."""
    content, before = bytearray(path.read_bytes()), path.stat()
    content[position] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


class OnceWrong(FileStore):
    """Spoils the first answer that has a certain byte."""

    def __init__(self, position: int) -> None:
        super().__init__()
        self.position = position
        self.left = 1

    def read_range(self, uri: str, start: int, size: int, **pinned: str | None) -> bytes:
        content = super().read_range(uri, start, size, **pinned)
        if self.left and start <= self.position < start + size:
            self.left -= 1
            changed = bytearray(content)
            changed[self.position - start] ^= 1
            return bytes(changed)
        return content


def test_wrong_bytes_are_asked_for_once_more(tmp_path: Path) -> None:
    base = f"{uri_of(tmp_path)}/"
    index = put_files(FileStore(), base, SINGLE)
    tensor = index.tensors["d"]
    notices: list[str] = []
    source = StorePieces(OnceWrong(tensor.start + 8192), base, index, on_notice=notices.append)
    assert collected(source.read([tensor.all_pieces]))["d"] == content_of(FileStore(), base, tensor)
    assert notices == [
        f"{base}model.safetensors came with wrong bytes {tensor.start + 8192} to {tensor.start + 16384} "
        "(tensor d, its bytes 8192 to 16384); it is read again"
    ]
    assert source.bytes_read == 2 * tensor.size


def test_bytes_that_stay_wrong_end_the_stage_and_are_told(tmp_path: Path) -> None:
    base = f"{uri_of(tmp_path)}/"
    index = put_files(FileStore(), base, SHARDED)
    tensor = index.tensors["c"]
    rot(tmp_path / tensor.file, tensor.start + 700_000)
    with pytest.raises(ArtifactMismatch) as caught:
        collected(StorePieces(FileStore(), base, index).read([tensor.all_pieces]))
    told = f"{base}{tensor.file} is not what was indexed: twice it came with wrong bytes {tensor.start + 696_320} "
    assert caught.value.message.startswith(told)
    assert "tensor c" in caught.value.message
    assert "upload it again" in caught.value.remedy


def test_another_object_under_the_name_is_told_as_such(storage: StorageSpec) -> None:
    store, base = open_store(storage), f"{storage.artifacts_uri}base/"
    index = put_files(store, base, SHARDED)
    put_files(store, base, SHARDED, seed=1)
    with pytest.raises(ObjectChanged, match=r"changed while it was read"):
        collected(StorePieces(store, base, index).read(all_runs(index)))

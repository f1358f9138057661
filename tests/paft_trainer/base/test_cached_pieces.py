"""The cache of a node: filled once, by real processes at once; damaged, full, and too small."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.paft_trainer.base.cache_processes import Reader, read_in_processes, start_stuck_reader
from tests.paft_trainer.base.indexed_bases import SHARDED, SINGLE, Shapes, content_of, put_files
from tests.paft_trainer.base.test_store_pieces import all_runs, collected

from paft_api.spec.storage import StorageSpec
from paft_trainer.base import cached_pieces, extents
from paft_trainer.base.cached_pieces import CachedPieces
from paft_trainer.base.piece_index import PieceIndex
from paft_trainer.base.store_pieces import StorePieces
from paft_trainer.storage import ObjectChanged, ObjectStore, open_store
from paft_trainer.storage.file_store import FileStore, uri_of

MIB = 1024**2
ROOM = 65 / 63
"""A cache of so many times a base's size just holds it."""
PLENTY = 2**40
EXTENT = MIB // 4
LARGER: Shapes = {
    f"model-0000{shard}-of-00003.safetensors": {f"{shard}.{name}": (size,) for name, size in sizes.items()}
    for shard, sizes in enumerate([{"a": 9_000_001, "b": 4097}, {"a": 3, "b": 7 * MIB}, {"a": 5_000_000}], start=1)
}


@pytest.fixture(autouse=True)
def _many_extents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extents, "EXTENT_BYTES", EXTENT)


def kept(directory: Path) -> list[Path]:
    """The files of extents."""
    return sorted(path for path in (directory / "extents").glob("*/*") if len(path.name) == 64)


def kept_bytes(directory: Path) -> int:
    return sum(path.stat().st_size for path in kept(directory))


def other_files(directory: Path) -> list[str]:
    """What is there besides extents and their folders."""
    return sorted(
        str(path.relative_to(directory))
        for path in directory.rglob("*")
        if path.is_file() and path not in kept(directory)
    )


def expected(store: ObjectStore, base: str, index: PieceIndex) -> dict[str, bytes]:
    return {name: content_of(store, base, tensor) for name, tensor in index.tensors.items() if tensor.size > 0}


class Base:
    """A base in a folder, and sources of its pieces through one cache."""

    def __init__(self, root: Path, name: str, shapes: Shapes, *, seed: int = 0) -> None:
        self.store = FileStore()
        self.uri = f"{uri_of(root)}/{name}/"
        self.cache = root / "cache"
        self.index = put_files(self.store, self.uri, shapes, seed=seed)
        self.expected = expected(self.store, self.uri, self.index)
        self.notices: list[str] = []

    def open(self, *, max_bytes: int = PLENTY) -> CachedPieces:
        direct = StorePieces(self.store, self.uri, self.index)
        return CachedPieces(direct, self.cache, max_bytes=max_bytes, on_notice=self.notices.append)

    def read_all(self, *, max_bytes: int = PLENTY) -> int:
        """Bytes that were read from the store for it."""
        source = self.open(max_bytes=max_bytes)
        assert collected(source.read(all_runs(self.index))) == self.expected
        return source.bytes_read


@pytest.mark.parametrize("shapes", [SHARDED, SINGLE], ids=["sharded", "single"])
def test_what_was_read_once_is_read_from_the_node(storage: StorageSpec, shapes: Shapes, tmp_path: Path) -> None:
    store, base = open_store(storage), f"{storage.artifacts_uri}base/"
    index = put_files(store, base, shapes)
    for read in (index.size, 0):
        source = CachedPieces(StorePieces(store, base, index), tmp_path / "cache", max_bytes=PLENTY)
        assert collected(source.read(all_runs(index))) == expected(store, base, index)
        assert source.bytes_read == read
    assert kept_bytes(tmp_path / "cache") == index.size
    assert other_files(tmp_path / "cache") == ["extents/usage"]


def test_of_a_slice_whole_extents_are_kept(tmp_path: Path) -> None:
    base = Base(tmp_path, "base", SINGLE)
    tensor = base.index.tensors["d"]
    wanted = tensor.covering(1_000_000, 1_200_000)
    source = base.open()
    found = collected(source.read([wanted]))["d"]
    assert found[wanted.start : wanted.stop] == base.expected["d"][wanted.start : wanted.stop]
    assert source.bytes_read == kept_bytes(base.cache)
    assert wanted.size < source.bytes_read <= wanted.size + 2 * (EXTENT + tensor.piece_bytes)


def test_processes_that_fill_at_once_read_each_byte_once(s3: StorageSpec, tmp_path: Path) -> None:
    store, base = open_store(s3), f"{s3.artifacts_uri}base/"
    index = put_files(store, base, LARGER)
    reader = Reader(
        storage=s3, base_uri=base, index=index, directory=tmp_path, extent_bytes=EXTENT, runs=all_runs(index)
    )
    outcomes = read_in_processes([reader] * 4)
    assert sum(outcome.bytes_read for outcome in outcomes) == index.size
    for outcome in outcomes:
        assert outcome.sha256 == {name: tensor.sha256 for name, tensor in index.tensors.items()}
        assert outcome.notices == []
    assert len([outcome for outcome in outcomes if outcome.bytes_read > 0]) > 1
    assert other_files(tmp_path) == ["extents/usage"]


def test_a_killed_filler_blocks_nobody(tmp_path: Path) -> None:
    base = Base(tmp_path, "base", LARGER)
    reader = Reader(
        storage=StorageSpec(artifacts_uri="file:///unused/"),
        base_uri=base.uri,
        index=base.index,
        directory=base.cache,
        extent_bytes=EXTENT,
        runs=all_runs(base.index),
    )
    filler = start_stuck_reader(reader, answers=9)
    assert any(name.endswith(".partial") for name in other_files(base.cache))
    filler.kill()
    filler.join()
    already = kept_bytes(base.cache)
    assert 0 < already < base.index.size
    assert base.read_all() == base.index.size - already
    assert not any(name.endswith(".partial") for name in other_files(base.cache))


def test_for_a_filler_that_is_stopped_nobody_waits_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cached_pieces, "PATIENCE_SECONDS", 0.2)
    base = Base(tmp_path, "base", SINGLE)
    reader = Reader(
        storage=StorageSpec(artifacts_uri="file:///unused/"),
        base_uri=base.uri,
        index=base.index,
        directory=base.cache,
        extent_bytes=EXTENT,
        runs=all_runs(base.index),
    )
    filler = start_stuck_reader(reader, answers=4)
    try:
        base.read_all()
        assert kept_bytes(base.cache) < base.index.size
    finally:
        filler.kill()
        filler.join()
    assert 0 < base.read_all() < base.index.size
    assert base.read_all() == 0


def test_what_killed_processes_leave_behind_is_deleted_when_room_is_needed(tmp_path: Path) -> None:
    base = Base(tmp_path, "base", SINGLE)
    base.read_all()
    folder = kept(base.cache)[0].parent
    (folder / f"{'a' * 64}.partial").write_bytes(bytes(1000))
    (folder / ".new-abc").touch()
    Base(tmp_path, "other", SHARDED, seed=1).read_all(max_bytes=base.index.size)
    assert other_files(base.cache) == ["extents/usage"]


@pytest.mark.parametrize("damage", ["rot", "cut", "empty"])
def test_a_damaged_extent_is_read_again_and_replaced(damage: str, tmp_path: Path) -> None:
    base = Base(tmp_path, "base", SHARDED)
    base.read_all()
    extent = max(kept(base.cache), key=lambda path: path.stat().st_size)
    whole = extent.read_bytes()
    spoilt = bytearray(whole)
    spoilt[1000] ^= 1
    extent.write_bytes({"rot": bytes(spoilt), "cut": whole[:-1], "empty": b""}[damage])
    assert base.read_all() == len(whole)
    assert base.notices == [f"{base.cache}/extents: {extent.name} of the node's cache is damaged; it is read again"]
    assert extent.read_bytes() == whole
    assert base.read_all() == 0


def test_the_least_recently_used_extents_make_room(tmp_path: Path) -> None:
    first, second = Base(tmp_path, "first", SINGLE, seed=1), Base(tmp_path, "second", SINGLE, seed=2)
    most = first.index.size + second.index.size // 2
    first.read_all(max_bytes=most)
    files = {path.name: path for path in kept(first.cache)}
    for number, (extent, _) in enumerate(extents.Extents(first.index).holding(all_runs(first.index))):
        os.utime(files[extent.name], ns=(number, number))
    used = first.index.tensors["f"].all_pieces
    assert collected(first.open(max_bytes=most).read([used]))["f"] == first.expected["f"]
    assert second.read_all(max_bytes=most) == second.index.size
    assert kept_bytes(first.cache) <= most
    assert second.read_all(max_bytes=most) == 0
    source = first.open(max_bytes=0)
    collected(source.read([used]))
    assert source.bytes_read == 0
    collected(source.read([first.index.tensors["a"].all_pieces]))
    assert source.bytes_read > 0


def test_what_is_deleted_while_it_is_read_is_still_read(tmp_path: Path) -> None:
    first, second = Base(tmp_path, "first", LARGER, seed=1), Base(tmp_path, "second", LARGER, seed=2)
    most = int(first.index.size * ROOM)
    first.read_all(max_bytes=most)
    reading = first.open(max_bytes=most).read(all_runs(first.index))
    begun = [next(reading)]
    second.read_all(max_bytes=most)
    assert kept_bytes(first.cache) <= most
    assert collected([*begun, *reading]) == first.expected


def test_of_a_base_that_is_too_large_a_part_stays(tmp_path: Path) -> None:
    base = Base(tmp_path, "base", LARGER)
    most = base.index.size // 2
    assert base.read_all(max_bytes=most) == base.index.size
    part = kept_bytes(base.cache)
    # The last extents, which are asked for at once, may each find no room because of the others.
    assert most * 63 / 64 - (cached_pieces.EXTENTS_AT_ONCE + 1) * EXTENT < part <= most * 63 / 64
    assert base.read_all(max_bytes=most) == base.index.size - part
    assert base.notices == 2 * [
        f"{base.cache}/extents: the node's cache keeps no more: there is no room in it that other bases could leave; "
        "the rest is read directly"
    ]


def test_room_that_a_killed_process_promised_is_found_again(tmp_path: Path) -> None:
    base = Base(tmp_path, "base", SINGLE)
    most = int(base.index.size * ROOM)
    base.read_all(max_bytes=most)
    for path in kept(base.cache)[:5]:
        path.unlink()
    (base.cache / "extents" / "usage").write_bytes(b"999999999999\n")
    base.read_all(max_bytes=most)
    assert kept_bytes(base.cache) == base.index.size
    (base.cache / "extents" / "usage").write_bytes(b"half a num")
    kept(base.cache)[0].unlink()
    base.read_all(max_bytes=most)
    assert kept_bytes(base.cache) == base.index.size
    assert base.notices == []


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """Writes beyond fail, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_takes_no_more_is_told_once(tmp_path: Path) -> None:
    base = Base(tmp_path, "base", LARGER)
    with files_no_larger_than(EXTENT // 2):
        base.read_all()
    assert base.notices == [
        f"{base.cache}/extents: the node's cache keeps no more: File too large; the rest is read directly"
    ]
    assert all(path.stat().st_size <= EXTENT // 2 for path in kept(base.cache))
    assert not any(name.endswith(".partial") for name in other_files(base.cache))


def test_another_object_under_the_name_is_told_where_it_would_be_read(s3: StorageSpec, tmp_path: Path) -> None:
    store, base = open_store(s3), f"{s3.artifacts_uri}base/"
    index = put_files(store, base, SINGLE)
    part = [index.tensors["c"].all_pieces]
    before = collected(CachedPieces(StorePieces(store, base, index), tmp_path, max_bytes=PLENTY).read(part))
    put_files(store, base, SINGLE, seed=1)
    source = CachedPieces(StorePieces(store, base, index), tmp_path, max_bytes=PLENTY)
    assert collected(source.read(part)) == before
    with pytest.raises(ObjectChanged):
        collected(source.read(all_runs(index)))


def test_files_have_the_mode_of_the_folder_whatever_the_umask(tmp_path: Path) -> None:
    base = Base(tmp_path, "base", SINGLE)
    base.cache.mkdir()
    base.cache.chmod(0o2775)
    before = os.umask(0o077)
    try:
        base.read_all()
    finally:
        os.umask(before)
    for path in (base.cache / "extents").rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o775 if path.is_dir() else 0o664), path


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become other users")
def test_users_share_a_folder_that_all_may_write_to(open_folder: Path) -> None:
    base = Base(open_folder, "base", LARGER)
    base.cache.mkdir()
    base.cache.chmod(0o1777)
    readers = [
        Reader(
            storage=StorageSpec(artifacts_uri="file:///unused/"),
            base_uri=base.uri,
            index=base.index,
            directory=base.cache,
            extent_bytes=EXTENT,
            runs=all_runs(base.index),
            user=user,
            umask=0o077,
        )
        for user in (12345, 12346, 12347)
    ]
    outcomes = read_in_processes(readers)
    assert sum(outcome.bytes_read for outcome in outcomes) == base.index.size
    assert [outcome.notices for outcome in outcomes] == [[], [], []]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become other users")
def test_what_another_user_makes_just_now_is_left_alone(open_folder: Path) -> None:
    """For a moment it has a mode that only its maker may open it with."""
    base = Base(open_folder, "base", SINGLE)
    folder = base.cache / "extents" / base.index.base_digest.removeprefix("sha256:")
    folder.mkdir(parents=True)
    for shared in (base.cache, folder.parent, folder):
        shared.chmod(0o777)
    (folder / ".new-just-now").touch(mode=0o600)
    reader = Reader(
        storage=StorageSpec(artifacts_uri="file:///unused/"),
        base_uri=base.uri,
        index=base.index,
        directory=base.cache,
        extent_bytes=EXTENT,
        runs=all_runs(base.index),
        user=12345,
    )
    (outcome,) = read_in_processes([reader])
    assert outcome.notices == []
    assert (folder / ".new-just-now").exists()

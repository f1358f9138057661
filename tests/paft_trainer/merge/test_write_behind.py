"""Writing in a thread of its own: order, errors from anywhere, nothing half-written, and no end that is waited for."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.merges import FailingStore, Interrupted, folder_bytes, folder_uri

from paft_trainer.merge.write_behind import QUEUED_CHUNKS, WriteBehind
from paft_trainer.storage import ObjectWriter
from paft_trainer.storage.file_store import FileStore

pytestmark = pytest.mark.timeout(20)


class _WriterThatFails:
    """Takes so many chunks."""

    def __init__(self, writer: ObjectWriter, chunks: int) -> None:
        self._writer = writer
        self._left = chunks

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """As the real one's, until it fails."""
        if self._left == 0:
            raise Interrupted("chunk")
        self._left -= 1
        self._writer.write(data)


class DiskFull(FailingStore):
    """A file system on which what is buffered cannot be flushed, so that closing a file fails, whatever came before."""

    @contextmanager
    def open_writer(self, uri: str) -> Iterator[ObjectWriter]:
        """As a file's, whose end always fails."""
        with super().open_writer(uri) as writer:
            try:
                yield writer
            finally:
                raise Interrupted("close")


class ChunkFails(FailingStore):
    """A store that fails in the middle of an object."""

    def __init__(self, chunks: int) -> None:
        super().__init__(FileStore())
        self._chunks = chunks

    @contextmanager
    def open_writer(self, uri: str) -> Iterator[ObjectWriter]:
        """As a file's, for so many chunks."""
        with super().open_writer(uri) as writer:
            yield _WriterThatFails(writer, self._chunks)


CHUNKS = [bytes([index]) * 100 for index in range(3 * QUEUED_CHUNKS)]


def write_objects(store: FailingStore, folder: str, *, objects: int = 3) -> dict[str, tuple[int, str]]:
    """Write some; returns what the writer told of each."""
    told: dict[str, tuple[int, str]] = {}
    with WriteBehind(store) as writer:
        for index in range(objects):
            name = f"object-{index}"
            writer.begin(folder + name)
            for chunk in CHUNKS:
                writer.write(chunk)

            def written(size: int, sha256: str, name: str = name) -> None:
                told[name] = size, sha256
                store.put(f"{folder}record-{name}", b"")

            writer.end(written)
    return told


def test_objects_are_written_in_order_and_told_once_they_are_visible(tmp_path: Path) -> None:
    store = FailingStore(FileStore())
    told = write_objects(store, folder_uri(tmp_path))
    content = b"".join(CHUNKS)
    assert told == {f"object-{index}": (len(content), hashlib.sha256(content).hexdigest()) for index in range(3)}
    assert [uri.rpartition("/")[2] for uri in store.changes] == [
        f"{prefix}object-{index}" for index in range(3) for prefix in ("", "record-")
    ]
    assert all(folder_bytes(tmp_path)[f"object-{index}"] == content for index in range(3))


@given(st.integers(0, 5), st.booleans(), st.integers(1, 4))
def test_an_error_of_the_store_comes_up_wherever_it_happens(
    tmp_path_factory: pytest.TempPathFactory, change: int, after: bool, objects: int
) -> None:
    folder = tmp_path_factory.mktemp("out")
    store = FailingStore(FileStore(), fail_at=change, after=after)
    if change >= 2 * objects:
        write_objects(store, folder_uri(folder), objects=objects)
        return
    with pytest.raises(Interrupted):
        write_objects(store, folder_uri(folder), objects=objects)
    assert len(store.changes) == change + 1
    whole = b"".join(CHUNKS)
    assert all(content in (b"", whole) for content in folder_bytes(folder).values())


@pytest.mark.parametrize("chunks", [0, 1, len(CHUNKS) - 1])
def test_an_error_in_the_middle_of_an_object_leaves_nothing(tmp_path: Path, chunks: int) -> None:
    with pytest.raises(Interrupted, match="chunk"):
        write_objects(ChunkFails(chunks), folder_uri(tmp_path))
    assert folder_bytes(tmp_path) == {}


def test_who_writes_on_after_an_error_is_told_and_never_waits(tmp_path: Path) -> None:
    with pytest.raises(Interrupted), WriteBehind(ChunkFails(0)) as writer:
        writer.begin(folder_uri(tmp_path) + "object")
        for _ in range(1000):
            writer.write(b"chunk")


@pytest.mark.parametrize("chunks", [0, 1, 2 * QUEUED_CHUNKS])
def test_what_was_begun_when_the_other_side_failed_does_not_become_visible(tmp_path: Path, chunks: int) -> None:
    told: list[int] = []
    with pytest.raises(ZeroDivisionError), WriteBehind(FileStore()) as writer:
        writer.begin(folder_uri(tmp_path) + "whole")
        writer.end(lambda size, sha256: told.append(size))
        writer.begin(folder_uri(tmp_path) + "half")
        for _ in range(chunks):
            writer.write(b"chunk")
        raise ZeroDivisionError
    assert folder_bytes(tmp_path) == {"whole": b""}
    assert told == [0]


def test_an_error_while_giving_up_does_not_hide_the_first_one_nor_hang(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), WriteBehind(DiskFull(FileStore())) as writer:
        writer.begin(folder_uri(tmp_path) + "half")
        writer.write(b"chunk")
        raise ZeroDivisionError
    assert folder_bytes(tmp_path) == {}

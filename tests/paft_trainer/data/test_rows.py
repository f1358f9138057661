"""JSONL files as they should be, and their digest."""

import json
from pathlib import Path
from typing import Any

import pytest

from paft_api.spec.data import DataFormat, DataSource
from paft_api.spec.storage import StorageSpec
from paft_trainer.data.rows import digest_sources, read_source
from paft_trainer.storage import ObjectStore, open_store
from paft_trainer.storage.file_store import FileStore, path_of

USER = {"role": "user", "content": "2+2="}
FOUR = {"role": "assistant", "content": "4"}
FIVE = {"role": "assistant", "content": "5"}
CHAT = {"messages": [USER, FOUR]}
PAIR = {"prompt": [USER], "chosen": [FOUR], "rejected": [FIVE]}


def line(**fields: Any) -> bytes:
    return json.dumps(fields).encode() + b"\n"


def source(uri: str, format_: str = "messages") -> DataSource:
    return DataSource(uri=uri, format=DataFormat(format_))


@pytest.fixture
def file(tmp_path: Path) -> str:
    """Address of a file to be written."""
    return f"file://{tmp_path}/rows.jsonl"


GOOD = line(**CHAT)


@pytest.mark.parametrize(
    ("format_", "row"),
    [
        ("messages", {"messages": [{"role": "system", "content": ""}, USER, FOUR, USER, FIVE]}),
        ("messages", {"messages": [FOUR, USER, FIVE]}),
        ("prompt-completion", {"prompt": "2+2=", "completion": "4"}),
        ("prompt-completion", {"prompt": [USER, FOUR, USER], "completion": [FOUR, USER, FIVE]}),
        ("preference", {"prompt": "2+2=", "chosen": "4", "rejected": "5"}),
        ("preference", PAIR),
    ],
)
def test_rows_are_taken_as_they_are_and_further_fields_left_out(format_: str, row: dict[str, Any], file: str) -> None:
    path_of(file).write_bytes(b"\xef\xbb\xbf" + line(**row, source="a book") + b"\r\n" + line(**row))
    assert list(read_source(FileStore(), source(file, format_))) == [row, row]


def test_line_separators_inside_a_text_do_not_end_a_row(file: str) -> None:
    row = {"prompt": "a\u2028b\x0cc\x85d", "completion": "🎈"}
    path_of(file).write_text(json.dumps(row, ensure_ascii=False))
    assert list(read_source(FileStore(), source(file, "prompt-completion"))) == [row]


def test_a_folder_is_its_jsonl_files_in_order(storage: StorageSpec) -> None:
    store, folder = open_store(storage), f"{storage.artifacts_uri}data/"
    for name, answer in (("b.jsonl", "2"), ("a/z.jsonl", "1"), ("c.json", "3"), ("c.jsonl", "4")):
        store.put(folder + name, line(prompt="?", completion=answer))
    rows = read_source(store, source(folder, "prompt-completion"))
    assert [row["completion"] for row in rows] == ["1", "2", "4"]


def test_the_digest_is_of_content_and_order_and_hashes_are_kept(storage: StorageSpec) -> None:
    store, folder = _CountingStore(open_store(storage)), storage.artifacts_uri
    store.put(f"{folder}one.jsonl", GOOD)
    store.put(f"{folder}two.jsonl", GOOD * 2)
    store.put(f"{folder}moved/one.jsonl", GOOD)
    one, two, moved = (source(folder + name) for name in ("one.jsonl", "two.jsonl", "moved/one.jsonl"))
    digest = digest_sources(store, [one, two], folder)
    assert digest_sources(store, [moved, two], folder) == digest
    assert digest_sources(store, [two, one], folder) != digest
    assert store.data_reads == 3
    store.put(f"{folder}two.jsonl", GOOD * 3)
    assert digest_sources(store, [one, two], folder) != digest
    assert store.data_reads == 4


class _CountingStore:
    """A real store; `data_reads`: how many JSONL files were read."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self.data_reads = 0

    def read_range(self, uri: str, start: int, size: int, *, etag: str | None = None) -> bytes:
        self.data_reads += uri.endswith(".jsonl")
        return self._store.read_range(uri, start, size, etag=etag)

    def of_source(self, source: DataSource) -> "_CountingStore":
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

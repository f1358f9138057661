"""Each type of file gives the rows that were written to it, in order and in any order."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.paft_trainer.data.written_rows import write_arrow, write_rows

from paft_api.spec.data import FileType
from paft_trainer.data.readers import READERS, json_array, text_lines
from paft_trainer.data.readers.reader import DataFile
from paft_trainer.storage.file_store import FileStore, uri_of

TYPES = list(READERS)
TEXTS = st.text(
    st.characters(codec="utf-8", exclude_characters="\x00") | st.sampled_from('\n\r",\t\\ \u2028'),
    min_size=1,
    max_size=12,
)


@pytest.fixture(scope="module", autouse=True)
def small_blocks() -> Any:
    """Blocks of a few rows, so that files have several."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (text_lines, json_array):
            patch.setattr(module, "BLOCK_BYTES", 64)
        yield


def read(path: Path, type_: FileType, order: Any = iter) -> list[tuple[str, dict[str, Any]]]:
    """Place and document of each row; blocks in the order that `order` makes of their numbers."""
    store, uri = FileStore(), uri_of(path)
    info = store.head(uri)
    assert info is not None
    file, reader = DataFile(store=store, info=info), READERS[type_]
    index = reader.index(file)
    blocks = {}
    for number in order(range(len(index.places))):
        block = reader.block(file, index, number)
        assert len(block) == index.rows_of(number)
        blocks[number] = [tuple(block.record(position)) for position in range(len(block))]
    rows = [row for number in sorted(blocks) for row in blocks[number]]
    assert len(rows) == index.rows
    return rows


@pytest.mark.parametrize("type_", TYPES)
@given(texts=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=12))
def test_rows_come_back_as_they_were_written(
    type_: FileType, texts: list[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    rows = [{"prompt": prompt, "completion": completion} for prompt, completion in texts]
    path = write_rows(tmp_path_factory.mktemp("rows"), type_, rows)
    assert [document for _, document in read(path, type_)] == rows
    assert read(path, type_, reversed) == read(path, type_)


PLACES = {
    FileType.JSONL: [":1", ":2", ":3"],
    FileType.JSON: [":2", ":6", ":10"],
    FileType.CSV: [":2", ":4", ":6"],
    FileType.TSV: [":2", ":4", ":6"],
    FileType.PARQUET: [", row 1", ", row 2", ", row 3"],
    FileType.ARROW: [", row 1", ", row 2", ", row 3"],
}


@pytest.mark.parametrize("type_", TYPES)
def test_a_row_is_placed_where_people_find_it(type_: FileType, tmp_path: Path) -> None:
    rows = [{"prompt": f"{number}\n?", "completion": "x" * 40} for number in range(3)]
    path = write_rows(tmp_path, type_, rows)
    assert [place for place, _ in read(path, type_)] == [f"{uri_of(path)}{place}" for place in PLACES[type_]]


def test_a_stream_of_arrow_is_read_as_a_file_is(tmp_path: Path) -> None:
    rows = [{"messages": [{"role": "user", "content": str(number)}]} for number in range(5)]
    write_arrow(tmp_path / "rows.arrow", rows, as_stream=True)
    assert [document for _, document in read(tmp_path / "rows.arrow", FileType.ARROW, reversed)] == rows


def test_nulls_of_columnar_files_are_no_fields(tmp_path: Path) -> None:
    rows = [{"a": [{"x": "1", "y": None}], "b": None}, {"a": [{"x": None, "y": "2"}], "b": "3"}]
    path = write_rows(tmp_path, FileType.PARQUET, rows)
    assert [document for _, document in read(path, FileType.PARQUET)] == [
        {"a": [{"x": "1"}]},
        {"a": [{"y": "2"}], "b": "3"},
    ]


@pytest.mark.parametrize("separator", [",", "\t"])
def test_blank_lines_a_byte_order_mark_and_windows_line_ends(tmp_path: Path, separator: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(f"\ufeffa{separator}b\r\n\r\n1{separator}2\r\n \r\n3{separator}".encode())
    type_ = FileType.CSV if separator == "," else FileType.TSV
    assert read(path, type_) == [(f"{uri_of(path)}:3", {"a": "1", "b": "2"}), (f"{uri_of(path)}:5", {"a": "3"})]

"""Rows by number, whatever their files are, however many processes there are, and however little is kept."""

import pickle
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.paft_trainer.data.written_rows import write_rows
from tests.tiny_models import byte_tokenizer

from paft_api.spec.data import DataFormat, DataSource, FileType
from paft_api.spec.storage import StorageSpec
from paft_trainer.data import encoded_rows
from paft_trainer.data.encoded_rows import EncodedRows, usable_rows
from paft_trainer.data.encoding import encode_rows, encoder, is_usable
from paft_trainer.data.processes import Processes
from paft_trainer.data.readers import READERS, json_array, text_lines
from paft_trainer.data.rows import read_source
from paft_trainer.errors import StageError
from paft_trainer.storage import open_store
from paft_trainer.storage.file_store import path_of

MAX_LENGTH = 24
TOKENIZER = byte_tokenizer()


def measure(row: dict[str, list[int]]) -> tuple[int, int]:
    return len(row["input_ids"]), len(row["labels"])


@pytest.fixture
def sources(storage: StorageSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[DataSource]:
    """One source of each type of file, in blocks of few rows; some rows teach nothing."""
    for module in (text_lines, json_array):
        monkeypatch.setattr(module, "BLOCK_BYTES", 64)
    store, found = open_store(storage), []
    for type_ in READERS:
        rows = [
            {"prompt": f"{type_} {number}" + "?" * (number % 3 * 20), "completion": "!" * (number % 5 + 1)}
            for number in range(11)
        ]
        path = write_rows(tmp_path, type_, rows, rows_per_block=3)
        uri = f"{storage.artifacts_uri}{path.name}"
        store.put(uri, path.read_bytes())
        found.append(DataSource(uri=uri, format=DataFormat.PROMPT_COMPLETION))
    return found


def opened(storage: StorageSpec, sources: list[DataSource], **options: Any) -> EncodedRows:
    return EncodedRows(
        open_store(storage),
        sources,
        lambda form: encoder(TOKENIZER, form, MAX_LENGTH),
        MAX_LENGTH,
        measure=measure,
        **options,
    )


def together(count: int, work: Any) -> list[Any]:
    """What each of some processes gets; threads that meet in `gather`."""
    barrier, told, results = threading.Barrier(count), [None] * count, [None] * count

    def run(number: int) -> None:
        def gather(value: Any) -> list[Any]:
            told[number] = pickle.dumps(value)
            barrier.wait()
            everything = [pickle.loads(one) for one in told]
            barrier.wait()
            return everything

        try:
            results[number] = work(Processes(number, count, gather))
        except StageError as error:
            results[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.parametrize("kept_bytes", [0, 2**20])
def test_rows_are_those_that_one_process_reads_in_order(
    storage: StorageSpec, sources: list[DataSource], kept_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoded_rows, "KEPT_BYTES", kept_bytes)
    expected = [
        row
        for source in sources
        for row in encode_rows(TOKENIZER, source, read_source(open_store(storage), source), max_length=MAX_LENGTH)
        if is_usable(row, MAX_LENGTH)
    ]
    assert 0 < len(expected) < 11 * len(sources)
    assert usable_rows(open_store(storage), sources, TOKENIZER, MAX_LENGTH) == expected
    for count in (1, 3):
        for rows in together(count, lambda processes: opened(storage, sources, processes=processes)):
            backwards = range(len(rows) - 1, -1, -1)
            rows.begin(backwards)
            assert [rows[number] for number in backwards] == expected[::-1]
            assert [tuple(size) for size in rows.sizes.tolist()] == [measure(row) for row in expected]
            assert [part.rows for part in rows.mixture.parts] == [len(expected) // len(sources)] * len(sources)


def test_all_processes_leave_out_the_same_rows(storage: StorageSpec, sources: list[DataSource]) -> None:
    wrong, store = f"{storage.artifacts_uri}wrong.jsonl", open_store(storage)
    store.put(wrong, (b'{"prompt": "a", "completion": "b"}\n' * 5 + b"{\n") * 4)
    sources = [DataSource(uri=wrong, format=DataFormat.PROMPT_COMPLETION)]
    found = together(3, lambda processes: opened(storage, sources, max_bad_rows=4, processes=processes))
    assert [(len(rows), rows.bad_rows.count) for rows in found] == [(20, 4)] * 3
    assert {rows.bad_rows.first[0] for rows in found} == {
        f"{wrong}:6: not JSON: Expecting property name enclosed in double quotes at column 2"
    }


def test_all_processes_tell_the_first_wrong_row(storage: StorageSpec, sources: list[DataSource]) -> None:
    last, store = sources[-1], open_store(storage)
    wrong = f"{storage.artifacts_uri}wrong.jsonl"
    store.put(wrong, b'{"prompt": "a", "completion": "b"}\n' * 5 + b"{\n" * 20)
    sources = [DataSource(uri=wrong, format=DataFormat.PROMPT_COMPLETION), last]
    found = together(3, lambda processes: opened(storage, sources, processes=processes))
    assert {error.message for error in found} == {
        f"{wrong}:6: not JSON: Expecting property name enclosed in double quotes at column 2"
    }


def test_a_file_that_changes_while_it_is_used_is_told(
    local_storage: StorageSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoded_rows, "KEPT_BYTES", 0)
    monkeypatch.setattr("paft_trainer.data.block_cache.MEMORY_BYTES", 0)
    monkeypatch.setattr(text_lines, "BLOCK_BYTES", 64)
    path = write_rows(tmp_path, FileType.JSONL, [{"text": f"row {number} {'x' * 40}"} for number in range(5)])
    source = DataSource(uri=f"file://{path}", format=DataFormat.TEXT)
    rows = opened(local_storage, [source])
    content = path_of(source.uri).read_bytes()
    path_of(source.uri).write_bytes(content.replace(b"row", b"now"))
    with pytest.raises(StageError, match="changed while it was read"):
        rows[0]

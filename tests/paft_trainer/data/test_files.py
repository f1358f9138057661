"""Which files a source is, of which type, and what is said where that cannot be told."""

import json
from pathlib import Path

import pytest
from datasets import Dataset, DatasetDict
from tests.paft_trainer.data.written_rows import write_rows

from paft_api.spec.data import DataFormat, DataSource, FileType
from paft_trainer.data.files import source_files
from paft_trainer.data.rows import digest_sources, read_source
from paft_trainer.errors import StageError
from paft_trainer.storage.file_store import FileStore, uri_of

ROWS = [{"text": text} for text in "abcde"]


def source(path: Path, *, split: str | None = None, type_: str = "auto") -> DataSource:
    uri = uri_of(path) + ("/" if path.is_dir() else "")
    return DataSource(uri=uri, format=DataFormat.TEXT, split=split, file_type=FileType(type_))


def texts(found: DataSource) -> str:
    return "".join(row["text"] for row in read_source(FileStore(), found))


def told(found: DataSource) -> tuple[str, str]:
    with pytest.raises(StageError) as caught:
        source_files(FileStore(), found)
    return caught.value.message.removeprefix(found.uri), caught.value.remedy


@pytest.mark.parametrize("type_", [type_ for type_ in FileType if type_ is not FileType.AUTO])
def test_types_are_found_by_name_and_where_that_is_possible_by_content(type_: FileType, tmp_path: Path) -> None:
    path = write_rows(tmp_path, type_, ROWS)
    assert [found.type for found in source_files(FileStore(), source(path))] == [type_]
    assert texts(source(path)) == texts(source(tmp_path)) == "abcde"
    nameless = path.rename(tmp_path / "rows")
    assert texts(source(nameless, type_=type_)) == "abcde"
    if type_ in (FileType.JSONL, FileType.PARQUET, FileType.ARROW):
        assert texts(source(nameless)) == "abcde"


def test_lines_may_be_in_a_json_file(tmp_path: Path) -> None:
    path = write_rows(tmp_path, FileType.JSONL, ROWS).rename(tmp_path / "rows.json")
    assert texts(source(path)) == "abcde"


def test_saved_data_sets_are_their_files_in_their_order(tmp_path: Path) -> None:
    rows = Dataset.from_list(ROWS)
    rows.save_to_disk(tmp_path / "saved", num_shards=2)
    DatasetDict({"train": rows, "test": rows.select([1])}).save_to_disk(tmp_path / "splits")
    assert texts(source(tmp_path / "saved")) == "abcde"
    assert texts(source(tmp_path / "splits", split="test")) == "b"
    assert told(source(tmp_path / "splits")) == (
        " has the splits train, test",
        "Say which one is meant with `split`.",
    )
    assert told(source(tmp_path / "splits", split="val")) == (
        " has no split val; it has train, test",
        "Correct `split`.",
    )
    assert told(source(tmp_path / "saved", split="train"))[0] == " is a single data set, without splits"
    state = tmp_path / "saved" / "state.json"
    document = json.loads(state.read_text())
    for changes, expected in (
        ({"_data_files": []}, "it names no files"),
        ({"_data_files": [{"filename": "gone.arrow"}]}, "it names the file gone.arrow, which is not there"),
        ({"_indices_data_files": [{}]}, "its rows are a selection by indices"),
    ):
        state.write_text(json.dumps(document | changes))
        assert told(source(tmp_path / "saved"))[0] == f"state.json: not what save_to_disk writes: {expected}"
    state.write_text("{")
    assert "not what save_to_disk writes: it is not JSON" in told(source(tmp_path / "saved"))[0]


def test_shards_are_told_apart_by_the_names_of_their_splits(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for split, rows in (("train", ROWS[:2]), ("test", ROWS[2:])):
        write_rows(data, FileType.PARQUET, rows, name=f"{split}-00000-of-00001")
    (tmp_path / "dataset_infos.json").write_text("{}")
    assert (texts(source(tmp_path, split="train")), texts(source(tmp_path, split="test"))) == ("ab", "cde")
    assert told(source(tmp_path))[0] == " has the splits test, train"
    assert told(source(data / "test-00000-of-00001.parquet", split="test"))[0] == (
        " is one file, which has no split test"
    )
    (data / "test-00000-of-00001.parquet").unlink()
    assert texts(source(tmp_path)) == "ab"


def test_files_and_folders_may_be_named_after_splits(tmp_path: Path) -> None:
    (tmp_path / "test").mkdir()
    write_rows(tmp_path, FileType.CSV, ROWS[:2], name="train")
    write_rows(tmp_path / "test", FileType.CSV, ROWS[2:], name="part")
    assert (texts(source(tmp_path, split="train")), texts(source(tmp_path, split="test"))) == ("ab", "cde")
    assert texts(source(tmp_path)) == "cdeab"


def test_what_cannot_be_told_is_told(tmp_path: Path) -> None:
    write_rows(tmp_path, FileType.CSV, ROWS)
    write_rows(tmp_path, FileType.PARQUET, ROWS)
    assert told(source(tmp_path))[0] == " has files of several types: csv, parquet"
    assert texts(source(tmp_path, type_="csv")) == "abcde"
    assert told(source(tmp_path, type_="arrow"))[0] == " has no files of type arrow"
    packed = tmp_path / "packed"
    packed.mkdir()
    (packed / "rows.jsonl.gz").write_bytes(b"")
    assert told(source(packed)) == ("rows.jsonl.gz is compressed", "Unpack it, or save the data as Parquet.")
    assert told(source(packed / "rows.jsonl.gz"))[0] == " is compressed"


def test_the_digest_of_json_lines_is_what_it_was_and_others_have_their_type(tmp_path: Path) -> None:
    lines = tmp_path / "rows.jsonl"
    lines.write_text('{"prompt": "a", "completion": "b"}\n')
    artifacts = f"{uri_of(tmp_path)}/artifacts/"

    def digest(path: Path, form: str = "prompt-completion", **options: object) -> str:
        found = DataSource(uri=uri_of(path), format=DataFormat(form), **options)  # type: ignore[arg-type]
        return digest_sources(FileStore(), [found], artifacts)

    before = digest(lines)
    assert before == "sha256:e8fb46e5da655364f48e16f40bd7f2b861fe4b49258992c2c1e6191f43321956"
    assert digest(lines, columns={"prompt": "prompt"}, weight=1.0, file_type=FileType.JSONL) == before
    others = [
        digest(lines, columns={"prompt": "question"}),
        digest(lines, weight=2.0),
        digest(lines, file_type=FileType.JSON),
    ]
    # Before there were tools, such a field was left out, and the row had other tokens.
    lines.write_text('{"prompt": "a", "completion": "b", "tools": []}\n')
    assert len({before, *others, digest(lines)}) == 5

"""Rows that may be left out, and one that is too many."""

import json
from pathlib import Path

import pytest
from tests.paft_trainer.data.written_rows import write_rows
from tests.tiny_models import byte_tokenizer

from paft_api.causes import Cause
from paft_api.spec.data import DataFormat, DataSource, FileType
from paft_trainer.data.bad_rows import BadRows
from paft_trainer.data.encoded_rows import EncodedRows
from paft_trainer.data.encoding import encoder
from paft_trainer.data.rows import read_source
from paft_trainer.errors import StageError
from paft_trainer.storage.file_store import FileStore, uri_of

USER_FIRST = (
    "{% if messages[0].role != 'user' %}{{ raise_exception('begin with the user') }}{% endif %}"
    "{% for m in messages %}{{ m.content }}{% endfor %}"
)


def source_of(path: Path, lines: list[str]) -> DataSource:
    path.write_text("".join(f"{line}\n" for line in lines))
    return DataSource(uri=uri_of(path), format=DataFormat.TEXT)


LINES = ['{"text": "a"}', "{", '{"text": 1}', '{"text": "b"}', "[]", '{"text": "c"}']


def test_as_many_as_are_allowed_are_left_out_and_told(tmp_path: Path) -> None:
    source = source_of(tmp_path / "rows.jsonl", LINES)
    bad_rows = BadRows(3)
    assert [row["text"] for row in read_source(FileStore(), source, bad_rows)] == ["a", "b", "c"]
    assert bad_rows.warning("train") == (
        f"data.train: 3 wrong rows are left out: {source.uri}:2: not JSON: Expecting property name enclosed in double "
        f"quotes at column 2; {source.uri}:3: text is 1, not text; {source.uri}:5: [] is not a JSON object"
    )
    assert BadRows(3).warning("train") is None


@pytest.mark.parametrize("allowed", [0, 1, 2])
def test_one_too_many_ends_the_job(allowed: int, tmp_path: Path) -> None:
    source = source_of(tmp_path / "rows.jsonl", LINES)
    first_too_many = [
        f"{source.uri}:2: not JSON: Expecting property name enclosed in double quotes at column 2",
        f"{source.uri}:3: text is 1, not text (wrong row number 2; data.maxBadRows allows 1)",
        f"{source.uri}:5: [] is not a JSON object (wrong row number 3; data.maxBadRows allows 2)",
    ][allowed]
    tokenizer = byte_tokenizer()
    for read in (
        lambda: list(read_source(FileStore(), source, BadRows(allowed))),
        lambda: EncodedRows(FileStore(), [source], lambda form: encoder(tokenizer, form, 64), 64, max_bad_rows=allowed),
    ):
        with pytest.raises(StageError) as caught:
            read()
        assert (caught.value.message, caught.value.cause) == (first_too_many, Cause.DATA_INVALID)


def test_rows_that_the_template_refuses_are_wrong_too(tmp_path: Path) -> None:
    user, answer = {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}
    rows = [{"messages": [{"role": "system", "content": "s"}, user, answer]}, {"messages": [user, answer]}]
    path = write_rows(tmp_path, FileType.JSONL, rows)
    source = DataSource(uri=uri_of(path), format=DataFormat.MESSAGES)
    tokenizer = byte_tokenizer(chat_template=USER_FIRST)
    encoded = EncodedRows(FileStore(), [source], lambda form: encoder(tokenizer, form, 64), 64, max_bad_rows=1)
    assert [tokenizer.decode(row["input_ids"]) for row in encoded] == ["ab"]
    assert encoded.bad_rows.warning("train") == (
        f"data.train: 1 wrong row is left out: {source.uri}:1: the chat template fails: TemplateError: begin with the "
        "user"
    )


def test_files_that_cannot_be_read_are_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([{"text": "a"}])[:-1])
    source = DataSource(uri=uri_of(path), format=DataFormat.TEXT, file_type=FileType.JSON)
    with pytest.raises(StageError, match="must be followed by , or"):
        list(read_source(FileStore(), source, BadRows(5)))


def test_a_long_warning_fits_into_a_report(tmp_path: Path) -> None:
    source = source_of(tmp_path / f"{'r' * 200}.jsonl", ["{"] * 9)
    bad_rows = BadRows(9)
    assert list(read_source(FileStore(), source, bad_rows)) == []
    warning = bad_rows.warning("eval")
    assert warning is not None
    assert len(warning) == 500

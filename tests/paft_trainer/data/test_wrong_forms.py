"""Every way in which rows of the other forms, and files of the other types, can be wrong, and what is said of it."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.paft_trainer.data.written_rows import write_arrow, write_rows

from paft_api.causes import Cause
from paft_api.spec.data import DataFormat, DataSource, FileType
from paft_trainer.data.rows import read_source
from paft_trainer.errors import StageError
from paft_trainer.storage.file_store import FileStore, uri_of

USER = {"role": "user", "content": "2+2="}
FOUR = {"role": "assistant", "content": "4"}
FIVE = {"role": "assistant", "content": "5"}
HUMAN = {"from": "human", "value": "2+2="}
GPT = {"from": "gpt", "value": "4"}

ROWS: dict[str, tuple[str, dict[str, Any], str]] = {
    "tools that are no JSON": (
        "messages",
        {"messages": [USER, FOUR], "tools": "add, subtract"},
        'tools is "add, subtract", not JSON',
    ),
    "tools that are names": (
        "messages",
        {"messages": [USER, FOUR], "tools": ["add"]},
        'tools is ["add"], not a list of JSON schemas',
    ),
    "calls that are names": (
        "messages",
        {"messages": [USER, {"role": "assistant", "content": "", "tool_calls": ["add"]}]},
        'messages[1].tool_calls is ["add"], not a list of calls',
    ),
    "content that is neither there nor replaced by a call": (
        "messages",
        {"messages": [USER, {"role": "assistant", "tool_calls": []}]},
        'messages[1] is {"role": "assistant", "tool_calls": []}, not a message with role and content',
    ),
    "no text": ("text", {"content": "4"}, "the field text is missing; the row has content"),
    "text that is a number": ("text", {"text": 4}, "text is 4, not text"),
    "text of blanks": ("text", {"text": " \n"}, "text is empty"),
    "half of a surrogate pair": (
        "text",
        {"text": "so \ud83d"},
        r"text holds '\ud83d' at character 3, half of a surrogate pair",
    ),
    "no conversations": ("sharegpt", {"messages": []}, "the field conversations is missing; the row has messages"),
    "conversations as text": (
        "sharegpt",
        {"conversations": "2+2=4"},
        'conversations is "2+2=4", not a list of turns',
    ),
    "an empty conversation": ("sharegpt", {"conversations": []}, "conversations is [], not a list of turns"),
    "turns of another style": (
        "sharegpt",
        {"conversations": [USER]},
        'conversations[0] is {"role": "user", "content": "2+2="}, not a turn with from and value',
    ),
    "an unknown speaker": (
        "sharegpt",
        {"conversations": [HUMAN, {"from": "claude", "value": "4"}]},
        'conversations[1].from is "claude"',
    ),
    "a speaker that is no text": ("sharegpt", {"conversations": [HUMAN | {"from": 1}]}, "conversations[0].from is 1"),
    "a value that is no text": (
        "sharegpt",
        {"conversations": [HUMAN, GPT | {"value": None}]},
        "conversations[1].value is null, not text",
    ),
    "two system prompts": (
        "sharegpt",
        {"conversations": [{"from": "system", "value": "Add."}, HUMAN, GPT], "system": "Add."},
        "system is given, and conversations[0] is the system's, too",
    ),
    "a call that is no JSON": (
        "sharegpt",
        {"conversations": [HUMAN, {"from": "function_call", "value": "add(2, 2)"}]},
        'conversations[1].value is "add(2, 2)", not the JSON of a call',
    ),
    "a call without arguments": (
        "sharegpt",
        {"conversations": [HUMAN, {"from": "function_call", "value": '{"name": "add"}'}]},
        'conversations[1].value is "{\\"name\\": \\"add\\"}", not the JSON of a call',
    ),
    "a conversation without an answer": (
        "sharegpt",
        {"conversations": [HUMAN]},
        "conversations has no turn of the assistant, so nothing can be learnt from it",
    ),
    "an instruction without output": (
        "alpaca",
        {"instruction": "2+2=", "response": "4"},
        "the field output is missing; the row has instruction, response",
    ),
    "an empty output": ("alpaca", {"instruction": "2+2=", "output": " "}, "output is empty"),
    "an empty instruction": ("alpaca", {"instruction": "", "input": "", "output": "4"}, "instruction is empty"),
    "an input that is no text": (
        "alpaca",
        {"instruction": "2+2=", "input": [], "output": "4"},
        "input is [], not text",
    ),
    "a history of texts": (
        "alpaca",
        {"instruction": "2+2=", "output": "4", "history": ["1+1=", "2"]},
        'history[0] is "1+1=", not an instruction and its output',
    ),
    "chats that share nothing": (
        "preference",
        {"chosen": [FOUR], "rejected": [FIVE]},
        "there is no prompt, and chosen and rejected begin with nothing that is the same",
    ),
    "an answer that is the beginning of the other": (
        "preference",
        {"chosen": "H: 2+2=? A: 4", "rejected": "H: 2+2=? A:"},
        "rejected is empty after the prompt that both answers begin with",
    ),
    "chats that differ in what the user says": (
        "preference",
        {"chosen": [USER, FOUR, USER], "rejected": [USER, FIVE]},
        "chosen ends with role 'user'",
    ),
    "a chat and a text": (
        "preference",
        {"chosen": [USER, FOUR], "rejected": "2+2=5"},
        'chosen is [{"role": "user", "content": "2+2="}, {"role": "assistant…, but rejected is "2+2=5"',
    ),
    "equal chats": (
        "preference",
        {"chosen": [USER, FOUR], "rejected": [USER, FOUR]},
        "chosen and rejected are equal, so the pair says nothing",
    ),
}


def told(source: DataSource) -> str:
    """What is said of a source."""
    with pytest.raises(StageError) as caught:
        list(read_source(FileStore(), source))
    assert caught.value.cause is Cause.DATA_INVALID
    assert caught.value.remedy
    return caught.value.message


@pytest.mark.parametrize("name", ROWS)
def test_a_wrong_row_is_told_by_file_line_field_and_value(name: str, tmp_path: Path) -> None:
    format_, row, expected = ROWS[name]
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row) + "\n")
    source = DataSource(uri=uri_of(path), format=DataFormat(format_))
    assert told(source) == f"{source.uri}:1: {expected}"


FILES: dict[str, tuple[str, bytes, str]] = {
    "array that is cut off": (
        "json",
        b'[\n {"text": "a"},\n {"text": ',
        ":3: not JSON: Expecting value at column 11",
    ),
    "array without commas": (
        "json",
        b'[\n {"text": "a"}\n {"text": "b"}]',
        ":3: not JSON: an element must be followed by , or ]",
    ),
    "array of texts": ("json", b'[{"text": "a"},\n"b"]', ':2: "b" is not a JSON object'),
    "empty array": ("json", b"[ ]", ": the file has no rows"),
    "object instead of an array": ("json", b'\n{"text": "a"}', ":2: the file does not begin with ["),
    "array that is no UTF-8": ("json", b'[{"text": "a"},\n{"text": "\xe9"}]', ":2: not UTF-8 at byte 26"),
    "header alone": ("csv", b"text\n", ": the file has no rows"),
    "no header": ("csv", b"", ": the file has no rows"),
    "column twice": ("csv", b"text,text\n1,2\n", ":1: the header has the column 'text' twice"),
    "columns without a name": ("csv", b"text,,\n1,2,3\n", ":1: the header has columns without a name"),
    "more values than columns": (
        "csv",
        b'id,text\n1,"a\nb"\n2,c,d\n',
        ":4: the row has 3 values, but the header has 2 columns",
    ),
    "mark that is not doubled": (
        "csv",
        b'text\nfine\n"a "quoted" word"\n',
        ":3: not a row of values: ',' expected after '\"'",
    ),
    "mark that is not closed": (
        "csv",
        b'text\n"a\nb\n',
        ":2: not a row of values: unexpected end of data",
    ),
    "separator of another type": (
        "tsv",
        b"id,text\n1,a\n",
        ":2: the field text is missing; the row has id,text",
    ),
    "value that is no UTF-8": ("csv", b"text\n\xe9\n", ":2: not UTF-8 at byte 5"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_wrong_file_is_told_by_its_line(name: str, tmp_path: Path) -> None:
    type_, content, expected = FILES[name]
    path = tmp_path / "rows"
    path.write_bytes(content)
    source = DataSource(uri=uri_of(path), format=DataFormat.TEXT, file_type=FileType(type_))
    assert told(source) == f"{source.uri}{expected}"


def test_a_list_in_a_csv_file_must_be_json(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("messages\n2+2=4\n")
    source = DataSource(uri=uri_of(path), format=DataFormat.MESSAGES)
    assert told(source) == f"{source.uri}:2: messages is not JSON: Extra data: line 1 column 2 (char 1)"


@pytest.mark.parametrize("type_", [FileType.PARQUET, FileType.ARROW])
def test_columnar_files_are_told_by_the_number_of_the_row(type_: FileType, tmp_path: Path) -> None:
    path = write_rows(tmp_path, type_, [{"text": "a"}, {"text": "b"}, {"text": " "}])
    source = DataSource(uri=uri_of(path), format=DataFormat.TEXT)
    assert told(source) == f"{source.uri}, row 3: text is empty"


@pytest.mark.parametrize(
    ("type_", "what"), [(FileType.PARQUET, "a Parquet file"), (FileType.ARROW, "an Arrow file or stream")]
)
def test_files_that_are_cut_off_are_no_columnar_files(type_: FileType, what: str, tmp_path: Path) -> None:
    path = write_rows(tmp_path, type_, [{"text": "a"}, {"text": "b"}])
    path.write_bytes(path.read_bytes()[:-20])
    source = DataSource(uri=uri_of(path), format=DataFormat.TEXT)
    assert told(source).startswith(f"{source.uri}: not {what}: ")


def test_a_stream_with_dictionaries_is_refused(tmp_path: Path) -> None:
    import pyarrow as pa

    table = pa.table({"text": pa.array(["a", "b"]).dictionary_encode()})
    with (tmp_path / "rows.arrow").open("wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)
    source = DataSource(uri=uri_of(tmp_path / "rows.arrow"), format=DataFormat.TEXT)
    assert told(source) == (
        f"{source.uri}: the column text is dictionary-encoded, whose parts cannot be read apart in a stream"
    )
    write_arrow(tmp_path / "rows.arrow", table.to_pylist(), as_stream=True)
    assert list(read_source(FileStore(), source)) == [{"text": "a"}, {"text": "b"}]


def test_a_column_that_is_missing_is_told_with_the_field(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"body": "a"}\n{"text": "b"}\n')
    source = DataSource(uri=uri_of(path), format=DataFormat.TEXT, columns={"text": "body"})
    assert told(source) == f"{source.uri}:2: the column body of columns.text is missing; the row has text"

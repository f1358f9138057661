"""Every way in which a data file can be wrong, and what is said of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from paft_api.causes import Cause
from paft_api.spec.data import DataFormat, DataSource
from paft_api.spec.storage import StorageSpec
from paft_trainer.data.rows import read_source, source_files
from paft_trainer.errors import StageError
from paft_trainer.storage import open_store
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
TEXTS = line(prompt="2+2=", completion="4")

WRONG = {
    "empty file": ("messages", b"", "{file}: the file has no rows"),
    "blank lines only": ("messages", b"\n \r\n\n", "{file}: the file has no rows"),
    "not JSON on line 2": (
        "messages",
        GOOD + b"{'messages': []}\n",
        "{file}:2: not JSON: Expecting property name enclosed in double quotes at column 2",
    ),
    "cut off": ("messages", GOOD + b"\n" + GOOD[:-3], "{file}:3: not JSON: Expecting ',' delimiter at column 89"),
    "one array over several lines": (
        "messages",
        b'[\n{"messages": []}\n]\n',
        "{file}:1: not JSON: Expecting value at column 2",
    ),
    "nested without end": ("messages", b"[" * 200_000, "{file}:1: not JSON: it is nested too deeply"),
    "no object": ("messages", GOOD + b'["4"]\n', '{file}:2: ["4"] is not a JSON object'),
    "not UTF-8": ("messages", GOOD + b'{"messages": "caf\xe9"}\n', "{file}:2: not UTF-8 at byte 108"),
    "UTF-16": ("messages", json.dumps(CHAT).encode("utf-16"), "{file}:1: not UTF-8 at byte 0"),
    "field missing": (
        "messages",
        line(conversations=[]),
        "{file}:1: the field messages is missing; the row has conversations",
    ),
    "nothing in it": ("messages", b"{}\n", "{file}:1: the field messages is missing; the row has none"),
    "another format": (
        "prompt-completion",
        TEXTS + line(prompt="2+2=", chosen="4", rejected="5"),
        "{file}:2: the field completion is missing; the row has chosen, prompt, rejected",
    ),
    "many fields": (
        "messages",
        line(**{f"field{number}": 1 for number in range(9)}),
        "{file}:1: the field messages is missing; the row has field0, field1, field2, field3, field4, field5, field6, "
        "field7, …",
    ),
    "messages as text": ("messages", line(messages="2+2=4"), '{file}:1: messages is "2+2=4", not a list of messages'),
    "no messages": ("messages", line(messages=[]), "{file}:1: messages is [], not a list of messages"),
    "message as text": (
        "messages",
        line(messages=["2+2=", FOUR]),
        '{file}:1: messages[0] is "2+2=", not a message with role and content',
    ),
    "another style of chats": (
        "messages",
        line(messages=[{"from": "human", "value": "2+2="}]),
        '{file}:1: messages[0] is {"from": "human", "value": "2+2="}, not a message with role and content',
    ),
    "unknown role": (
        "messages",
        line(messages=[USER, {"role": "gpt", "content": "4"}]),
        '{file}:1: messages[1].role is "gpt"',
    ),
    "role that is no text": (
        "messages",
        line(messages=[USER, {"role": ["assistant"], "content": "4"}]),
        '{file}:1: messages[1].role is ["assistant"]',
    ),
    "content in parts": (
        "messages",
        line(messages=[{"role": "user", "content": [{"type": "text", "text": "2+2="}, {"type": "image", "url": "x"}]}]),
        '{file}:1: messages[0].content is [{"type": "text", "text": "2+2="}, {"type": "image", "url…, not text',
    ),
    "content null": (
        "messages",
        line(messages=[USER, {"role": "assistant", "content": None}]),
        "{file}:1: messages[1].content is null, not text",
    ),
    "half of a surrogate pair": (
        "messages",
        line(messages=[{"role": "user", "content": "so \ud83d"}, FOUR]),
        r"{file}:1: messages[0].content holds '\ud83d' at character 3, half of a surrogate pair",
    ),
    "no assistant": (
        "messages",
        GOOD + line(messages=[USER]),
        "{file}:2: messages has no turn of the assistant, so nothing can be learnt from it",
    ),
    "an assistant without words": (
        "messages",
        line(messages=[USER, {"role": "assistant", "content": " \n"}]),
        "{file}:1: the assistant says nothing in messages, so nothing can be learnt from it",
    ),
    "empty completion": (
        "prompt-completion",
        TEXTS + line(prompt="2+2=", completion=" "),
        "{file}:2: completion is empty",
    ),
    "empty completion as messages": (
        "prompt-completion",
        line(prompt=[USER], completion=[{"role": "assistant", "content": ""}]),
        "{file}:1: completion is empty",
    ),
    "number": (
        "prompt-completion",
        line(prompt="2+2=", completion=4),
        "{file}:1: completion is 4, neither text nor a list of messages",
    ),
    "text and messages": (
        "prompt-completion",
        line(prompt="2+2=", completion=[FOUR]),
        '{file}:1: prompt is "2+2=", not a list of messages',
    ),
    "completion of the user": (
        "prompt-completion",
        line(prompt=[USER], completion=[FOUR, USER]),
        "{file}:1: completion ends with role 'user'",
    ),
    "rejected missing": (
        "preference",
        line(prompt="2+2=", chosen="4"),
        "{file}:1: the field rejected is missing; the row has chosen, prompt",
    ),
    "no preference": (
        "preference",
        line(**PAIR) + line(**PAIR | {"rejected": [FOUR]}),
        "{file}:2: chosen and rejected are equal, so the pair says nothing",
    ),
    "answers that repeat the prompt": (
        "preference",
        line(prompt=[USER], chosen=[USER, FOUR], rejected=[USER, FIVE]),
        "{file}:1: chosen begins with role 'user'",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_is_told_by_file_line_field_and_value(name: str, file: str) -> None:
    format_, content, expected = WRONG[name]
    path_of(file).write_bytes(content)
    with pytest.raises(StageError) as caught:
        list(read_source(FileStore(), source(file, format_)))
    assert (caught.value.cause, caught.value.message) == (Cause.DATA_INVALID, expected.replace("{file}", file))
    assert caught.value.remedy
    caught.value.message.encode()


def test_missing_files_folders_and_slashes_are_told(storage: StorageSpec) -> None:
    store, folder = open_store(storage), f"{storage.artifacts_uri}data"
    store.put(f"{folder}/rows.txt", GOOD)
    found = {}
    for uri in (f"{folder}/rows.jsonl", f"{folder}/", folder):
        with pytest.raises(StageError) as caught:
            source_files(store, source(uri))
        assert caught.value.cause is Cause.CONFIG_INVALID
        found[uri] = (caught.value.message, caught.value.remedy)
    assert found == {
        f"{folder}/rows.jsonl": (f"{folder}/rows.jsonl: there is no such file", "Check the address."),
        f"{folder}/": (f"{folder}/ has no data files", "Check the address."),
        folder: (f"{folder} is a folder", f"Write it with a slash at the end: {folder}/"),
    }

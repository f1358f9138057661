"""JSON of strangers is bounded and has one meaning."""

import subprocess
import sys
from pathlib import Path

import pytest

from paft_trainer.foreign_documents import (
    MAXIMUM_BYTES,
    MAXIMUM_PARTS,
    BrokenDocument,
    parse_object,
    quoted,
    read_object,
    shown,
)
from paft_trainer.storage import ObjectMissing
from paft_trainer.storage.file_store import FileStore, uri_of


def test_an_object_is_read() -> None:
    content = '{"a": [1, 2.5, null, true], "ü": {"b": "\\ud83d\\ude00"}}'
    assert parse_object(content.encode()) == {"a": [1, 2.5, None, True], "ü": {"b": "😀"}}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no JSON: Expecting value"),
        (b"[]", "no JSON object"),
        (b'{"a": 1, "a": 1}', "no JSON: a name occurs twice"),
        (b'{"b": {"a": 1, "a": 1}}', "no JSON: a name occurs twice"),
        (b'{"b": [{"a": 1, "a": 1}]}', "no JSON: a name occurs twice"),
        (b'{"a": NaN}', "no JSON: NaN is no number"),
        (b'{"a": -Infinity}', "no JSON: -Infinity is no number"),
        (b'{"a": "\xff"}', "no JSON: 'utf-8' codec can't decode"),
        (b'{"\\ud800": 1}', "no JSON: 'utf-8' codec can't encode character '\\ud800'"),
        (b'{"a": "\\ud800"}', "no JSON: 'utf-8' codec can't encode character '\\ud800'"),
        ('{"a": 1}'.encode("utf-16"), "no JSON: 'utf-8' codec can't decode"),
        ('{"a": 1}'.encode("utf-8-sig"), "no JSON: Unexpected UTF-8 BOM"),
        (b'{"a":' * 100_000, "no JSON: maximum recursion depth exceeded"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "no JSON: Exceeds the limit"),
        (b" " * (MAXIMUM_BYTES + 1), "too large: 33554433 bytes, more than the 33554432 that are read here"),
        (b'{"a": [' + b"1," * MAXIMUM_PARTS + b"1]}", "too large: 2000003 parts, more than the 2000000"),
    ],
)
def test_what_is_none_is_refused_with_the_reason(content: bytes, reason: str) -> None:
    with pytest.raises(BrokenDocument) as caught:
        parse_object(content)
    assert str(caught.value).startswith(reason)


def test_size_is_looked_at_before_reading(tmp_path: Path) -> None:
    with (tmp_path / "f").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(BrokenDocument, match="too large: 1099511627776 bytes"):
        read_object(FileStore(), uri_of(tmp_path / "f"))
    with pytest.raises(ObjectMissing):
        read_object(FileStore(), uri_of(tmp_path / "nothing"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("model.layers.0", "model.layers.0"),
        ("a b", "'a b'"),
        ("a\x1b[31m\n", "'a\\x1b[31m\\n'"),
        ("x" * 1_000, "x" * 120 + "… (1000 characters)"),
        ([1, 2], "[1, 2]"),
        ("", "''"),
    ],
)
def test_names_are_shown_in_one_printable_line(value: object, text: str) -> None:
    assert shown(value) == text


def test_quoted_texts_are_always_in_quotation_marks() -> None:
    assert quoted("F7") == "'F7'"


MEASURED = """
import sys
from pathlib import Path
from paft_trainer.foreign_documents import BrokenDocument, parse_object
from paft_trainer.peak_memory import peak_memory_bytes
content = Path(sys.argv[1]).read_bytes()
before = peak_memory_bytes()
try:
    parse_object(content)
except BrokenDocument as error:
    print(error, file=sys.stderr)
print(peak_memory_bytes() - before)
"""


HEAVY = {
    "as many objects as are allowed, each under a name of its own": lambda: ",".join(
        f'"{number:x}":[]' for number in range(666_000)
    ),
    "as many lists as are allowed": lambda: '"a":[' + "[]," * 999_990 + "1]",
    "more objects than are allowed, which are not even begun with": lambda: '"a":[' + "{}," * 10_000_000 + "1]",
    "one character that makes four bytes of each": lambda: f'"a":"{"x" * (MAXIMUM_BYTES - 30)}😀"',
}


@pytest.mark.parametrize("name", HEAVY)
def test_the_worst_documents_take_less_than_400_mb(name: str, tmp_path: Path) -> None:
    (tmp_path / "f").write_text(f"{{{HEAVY[name]()}}}", encoding="utf-8")
    command = [sys.executable, "-c", MEASURED, str(tmp_path / "f")]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert int(ended.stdout) < 400e6

"""A JSON file with one array of objects. It is held in memory once, while its blocks are found."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from paft_trainer.data.readers.reader import (
    BLOCK_BYTES,
    BlockIndex,
    BlockPlace,
    DataFile,
    Record,
    decoded,
    no_json,
    require_object,
)
from paft_trainer.data.readers.text_lines import BYTE_ORDER_MARK, text_chunks
from paft_trainer.errors import DataInvalid

_BLANK = " \t\r\n"
_DECODER = json.JSONDecoder()


class JsonArrayReader:
    """Files that are one array."""

    def index(self, file: DataFile) -> BlockIndex:
        """See FileReader."""
        content = b"".join(text_chunks(file))
        mark = len(BYTE_ORDER_MARK) if content.startswith(BYTE_ORDER_MARK) else 0
        text = decoded(f"{file.uri}:{_line(content)}", content[mark:], offset=mark)
        places: list[BlockPlace] = []
        rows, byte, line, position = 0, mark, 1, 0
        for begin, _ in _elements(file.uri, text):
            passed = text[position:begin]
            byte, line, position = byte + len(passed.encode()), line + passed.count("\n"), begin
            if not places or byte // BLOCK_BYTES != places[-1].start // BLOCK_BYTES:
                places.append(BlockPlace(byte, rows, line))
            rows += 1
        return BlockIndex(places=places, rows=rows, size=file.info.size)

    def block(self, file: DataFile, index: BlockIndex, number: int) -> "_Elements":
        """See FileReader."""
        start, size = index.span(number)
        text = file.read(start, size).decode()
        line, position, rows = index.places[number].line, 0, []
        for _ in range(index.rows_of(number)):
            value, end = _DECODER.raw_decode(text, position)
            rows.append((line, value))
            following = _after_blanks(text, _after_blanks(text, end) + 1)
            line += text.count("\n", position, following)
            position = following
        return _Elements(file.uri, rows, size)


@dataclass(frozen=True, slots=True)
class _Elements:
    uri: str
    rows: list[tuple[int, Any]]
    memory: int

    def __len__(self) -> int:
        return len(self.rows)

    def record(self, position: int) -> Record:
        line, document = self.rows[position]
        place = f"{self.uri}:{line}"
        return Record(place, require_object(place, document))


def _elements(uri: str, text: str) -> Iterator[tuple[int, Any]]:
    """Where each element begins, and what it is. Raises DataInvalid."""
    position = _after_blanks(text, 0)
    if text[position : position + 1] != "[":
        raise DataInvalid(
            f"{uri}:{text.count(chr(10), 0, position) + 1}: the file does not begin with [",
            remedy="Write one array of objects, or one object in each line, and then give fileType jsonl.",
        )
    position = _after_blanks(text, position + 1)
    if text[position : position + 1] == "]":
        return
    while True:
        begin = position
        try:
            value, end = _DECODER.raw_decode(text, begin)
        except json.JSONDecodeError as error:
            raise no_json(f"{uri}:{error.lineno}", f"{error.msg} at column {error.colno}") from error
        except RecursionError as error:
            raise no_json(f"{uri}:{text.count(chr(10), 0, begin) + 1}", "it is nested too deeply") from error
        yield begin, value
        position = _after_blanks(text, end)
        mark = text[position : position + 1]
        if mark == "]":
            return
        if mark != ",":
            line = text.count("\n", 0, position) + 1
            raise no_json(f"{uri}:{line}", "an element must be followed by , or ]")
        position = _after_blanks(text, position + 1)


def _after_blanks(text: str, position: int) -> int:
    while text[position : position + 1] in _BLANK and position < len(text):
        position += 1
    return position


def _line(content: bytes) -> int:
    """Of the first byte that is no UTF-8, else 1."""
    try:
        content.decode()
    except UnicodeDecodeError as error:
        return content.count(b"\n", 0, error.start) + 1
    return 1

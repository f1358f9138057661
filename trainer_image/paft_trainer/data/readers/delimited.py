"""CSV and TSV (RFC 4180): a header, then rows of as many values, quoted where they hold separators, quotes or newlines.

All values are texts. An empty one is a field that is not there. Lists are written as JSON.
"""

import csv
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from paft_trainer.data.readers.reader import BlockIndex, BlockPlace, DataFile, Record, decoded
from paft_trainer.data.readers.text_lines import index_lines, rows_of_block
from paft_trainer.errors import DataInvalid

LISTS = ("messages", "conversations", "tools", "history")
"""Columns whose values are JSON, where they begin like a list."""

_NEWLINE, _QUOTE = 10, 34

# The largest of a C long on all platforms; the module's own 128 KiB are less than some conversations have.
csv.field_size_limit(2**31 - 1)


class DelimitedReader:
    """Files whose values are separated by one character."""

    def __init__(self, separator: str) -> None:
        self._separator = separator

    def index(self, file: DataFile) -> BlockIndex:
        """See FileReader."""
        found = index_lines(file, _UnquotedNewlines())
        if not found.places:
            return found
        header = self._header(file, found)
        return BlockIndex(
            places=[BlockPlace(start, max(row - 1, 0), line) for start, row, line in found.places],
            rows=found.rows - 1,
            size=found.size,
            header=json.dumps(header, ensure_ascii=False),
        )

    def block(self, file: DataFile, index: BlockIndex, number: int) -> "_Values":
        """See FileReader."""
        start, size = index.span(number)
        rows = rows_of_block(file.read(start, size), start, index.places[number].line, _UnquotedNewlines())
        return _Values(file.uri, self._separator, json.loads(index.header), rows if number else rows[1:])

    def _header(self, file: DataFile, found: BlockIndex) -> list[str]:
        start, size = found.span(0)
        rows = rows_of_block(file.read(start, size), start, found.places[0].line, _UnquotedNewlines())
        offset, line, content = rows[0]
        place = f"{file.uri}:{line}"
        names = _split(place, decoded(place, content, offset=offset), self._separator)
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            what = f"the column {twice!r} twice" if twice else "columns without a name"
            raise DataInvalid(f"{place}: the header has {what}", remedy="Give each column a name of its own.")
        return names


@dataclass(frozen=True, slots=True)
class _Values:
    uri: str
    separator: str
    names: list[str]
    rows: list[tuple[int, int, bytes]]

    def __len__(self) -> int:
        return len(self.rows)

    def record(self, position: int) -> Record:
        offset, line, content = self.rows[position]
        place = f"{self.uri}:{line}"
        values = _split(place, decoded(place, content, offset=offset), self.separator)
        if len(values) != len(self.names):
            raise DataInvalid(
                f"{place}: the row has {len(values)} values, but the header has {len(self.names)} columns",
                remedy="Quote values that hold the separator, a quotation mark or a newline.",
            )
        return Record(place, {name: value for name, value in zip(self.names, values, strict=True) if value})

    @property
    def memory(self) -> int:
        return sum(len(content) for _, _, content in self.rows)


class _UnquotedNewlines:
    """Newlines outside quotation marks: those after an even number of them."""

    def __init__(self) -> None:
        self._inside = 0

    def __call__(self, content: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        inside = (np.cumsum(content == _QUOTE) + self._inside) % 2
        if len(content):
            self._inside = int(inside[-1])
        return np.flatnonzero((content == _NEWLINE) & (inside == 0))


def _split(place: str, text: str, separator: str) -> list[str]:
    try:
        (values,) = csv.reader([text.removesuffix("\r")], delimiter=separator, strict=True)
    except (csv.Error, ValueError) as error:
        raise DataInvalid(
            f"{place}: not a row of values: {error}",
            remedy="Quote values that hold the separator, a quotation mark or a newline, and double these marks.",
        ) from error
    return values


def parsed_lists(place: str, row: dict[str, Any]) -> dict[str, Any]:
    """Texts of fields that are lists, as lists. Raises DataInvalid."""
    return {name: _parsed(place, name, value) if name in LISTS else value for name, value in row.items()}


def _parsed(place: str, name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise DataInvalid(
            f"{place}: {name} is not JSON: {error}", remedy="In CSV files a list is written as JSON."
        ) from error

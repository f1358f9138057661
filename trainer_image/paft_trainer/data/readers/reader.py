"""What a reader of files does, whatever their type: find blocks of rows once, then read any of them in any order.

A block is what is read at once: some rows of a text file, a row group of Parquet, a record batch of Arrow. So a
shuffled order of rows costs one request for each row, and no file has to be held as a whole.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from paft_trainer.data.row_checks import shown
from paft_trainer.errors import DataInvalid
from paft_trainer.storage import ObjectInfo, ObjectStore

BLOCK_BYTES = 256 * 1024
"""Of text files; a row belongs to the block in which it begins."""

JSON_OBJECT_REMEDY = "Each row must be one JSON object."


@dataclass(frozen=True, kw_only=True, slots=True)
class DataFile:
    """One file of a source. `store`: the source's own; `info`: the file as the listing shows it."""

    store: ObjectStore
    info: ObjectInfo

    @property
    def uri(self) -> str:
        """Its address."""
        return self.info.uri

    def read(self, start: int, size: int) -> bytes:
        """Bytes of the content that the listing showed. Raises ObjectChanged."""
        return self.store.read_range(self.uri, start, size, etag=self.info.etag)


class BlockPlace(NamedTuple):
    """Where a block begins. `start`: byte; `row`: number of its first row, from 0; `line`: of that row, from 1."""

    start: int
    row: int
    line: int


@dataclass(frozen=True, kw_only=True, slots=True)
class BlockIndex:
    """The blocks of a file, in order.

    `rows`: of the file. `size`: where its last block ends. `header`: what its type needs in front of each block.
    """

    places: Sequence[BlockPlace]
    rows: int
    size: int
    header: str = ""

    def span(self, number: int) -> tuple[int, int]:
        """First byte of a block, and the number of its bytes."""
        start = self.places[number].start
        end = self.places[number + 1].start if number + 1 < len(self.places) else self.size
        return start, end - start

    def rows_of(self, number: int) -> int:
        """Rows of a block."""
        end = self.places[number + 1].row if number + 1 < len(self.places) else self.rows
        return end - self.places[number].row


class Record(NamedTuple):
    """One row as its file has it. `place`: file and line, or file and number of the row."""

    place: str
    document: dict[str, Any]


class Block(Protocol):
    """Rows that were read at once; each is parsed when it is asked for."""

    def __len__(self) -> int:
        """Rows."""

    def record(self, position: int) -> Record:
        """One row. Raises DataInvalid for one that cannot be read."""

    @property
    def memory(self) -> int:
        """Bytes that it holds."""


class FileReader(Protocol):
    """Reads files of one type."""

    def index(self, file: DataFile) -> BlockIndex:
        """Find the blocks, reading the file once. Raises DataInvalid where it cannot be read at all."""

    def block(self, file: DataFile, index: BlockIndex, number: int) -> Block:
        """One block. Raises DataInvalid."""


def parse_object(place: str, text: str) -> dict[str, Any]:
    """The JSON object in a text. Raises DataInvalid."""
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise no_json(place, f"{error.msg} at column {error.colno}") from error
    except RecursionError as error:
        raise no_json(place, "it is nested too deeply") from error
    except ValueError as error:
        raise no_json(place, str(error)) from error
    return require_object(place, document)


def require_object(place: str, document: Any) -> dict[str, Any]:
    """A row is a JSON object. Raises DataInvalid."""
    if not isinstance(document, dict):
        raise DataInvalid(f"{place}: {shown(document)} is not a JSON object", remedy=JSON_OBJECT_REMEDY)
    return document


def no_json(place: str, reason: str) -> DataInvalid:
    """The error of a row that is no JSON."""
    return DataInvalid(f"{place}: not JSON: {reason}", remedy=JSON_OBJECT_REMEDY)


def decoded(place: str, content: bytes, *, offset: int) -> str:
    """UTF-8 as text. `offset`: of the content in its file. Raises DataInvalid."""
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise DataInvalid(
            f"{place}: not UTF-8 at byte {offset + error.start}", remedy="Save the file as UTF-8."
        ) from error

"""What Parquet and Arrow have in common: seekable reads of an object, and rows of a table."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from paft_trainer.data.readers.reader import DataFile, Record
from paft_trainer.errors import DataInvalid

READ_BYTES = 1024 * 1024
"""Of one request for small pieces, such as footers."""


class ObjectRange(io.RawIOBase):
    """A file of an object store as pyarrow reads files."""

    def __init__(self, file: DataFile) -> None:
        super().__init__()
        self._file = file
        self._position = 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """Where the next read begins."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """See io.IOBase."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._file.info.size}[whence]
        self._position = base + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        """See io.RawIOBase."""
        size = min(len(buffer), self._file.info.size - self._position)
        if size <= 0:
            return 0
        buffer[:size] = self._file.read(self._position, size)
        self._position += size
        return size


def opened(file: DataFile) -> io.BufferedReader:
    """The object as a seekable file, which reads at least READ_BYTES at once."""
    return io.BufferedReader(ObjectRange(file), READ_BYTES)


@contextmanager
def explained(file: DataFile, what: str) -> Iterator[None]:
    """Turn pyarrow's errors into DataInvalid. `what`: what the file should be."""
    try:
        yield
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataInvalid(
            f"{file.uri}: not {what}: {reason}", remedy="Write the file again, or correct `fileType` of this source."
        ) from error


@dataclass(frozen=True, slots=True)
class TableBlock:
    """Rows of a table. `first_row`: number of the first in its file, from 0."""

    uri: str
    table: pa.Table | pa.RecordBatch
    first_row: int

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def record(self, position: int) -> Record:
        """See Block; what is null is left out, as a column has it where other rows have a value."""
        (row,) = self.table.slice(position, 1).to_pylist()
        return Record(f"{self.uri}, row {self.first_row + position + 1}", without_nulls(row))

    @property
    def memory(self) -> int:
        """Bytes of the table."""
        return int(self.table.nbytes)


def without_nulls(value: Any) -> Any:
    """Objects without the fields that are null; in columnar files all rows have the same fields."""
    if isinstance(value, dict):
        return {name: without_nulls(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [without_nulls(inner) for inner in value]
    return value

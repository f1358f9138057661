"""All rows of some sources by number, read from where they lie when they are asked for."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from paft_api.spec.data import DataFormat, DataSource
from paft_trainer.data.block_cache import BlockCache
from paft_trainer.data.files import TypedFile, source_files
from paft_trainer.data.processes import ALONE, Processes
from paft_trainer.data.readers import READERS
from paft_trainer.data.readers.reader import Block, BlockIndex
from paft_trainer.data.rows import PlacedRow, convert, index_file
from paft_trainer.storage import ObjectStore


class RowBlock(NamedTuple):
    """One block among all. `source`: number of its source; `number`: in its file; `first_row`: among all rows."""

    source: int
    file: TypedFile
    index: BlockIndex
    number: int
    first_row: int


class OpenRows:
    """Rows of sources, one source after the other; wrong rows have numbers, too.

    What is held of files is where their blocks begin. Those of a file are found by one process and told to the others.
    """

    def __init__(self, store: ObjectStore, sources: Sequence[DataSource], processes: Processes = ALONE) -> None:
        """Collective. Raises DataInvalid, ConfigInvalid and StorageError, the same on all processes."""
        self.sources = sources
        files = [(number, file) for number, source in enumerate(sources) for file in source_files(store, source)]
        indexes = processes.share([file for _, file in files], index_file)
        self.blocks: list[RowBlock] = []
        row = 0
        for (source, file), index in zip(files, indexes, strict=True):
            for number in range(len(index.places)):
                self.blocks.append(RowBlock(source, file, index, number, row))
                row += index.rows_of(number)
        self._rows = row
        self._first_rows = [block.first_row for block in self.blocks]
        self._cache = BlockCache(self._load)

    def __len__(self) -> int:
        return self._rows

    def read(self, row: int) -> PlacedRow:
        """One row as training takes it. Raises DataInvalid where it is wrong."""
        number = self._block_of(row)
        found = self.blocks[number]
        record = self._cache.get(number).record(row - found.first_row)
        return convert(found.file.type, self.sources[found.source], record)

    def begin(self, rows: Iterable[int]) -> None:
        """Start to read what these rows are in."""
        self._cache.begin(dict.fromkeys(self._block_of(row) for row in rows))

    def begin_blocks(self, numbers: Iterable[int]) -> None:
        """Start to read blocks, those among the numbers that there are."""
        self._cache.begin(number for number in numbers if number < len(self.blocks))

    def rows_of(self, number: int) -> range:
        """Numbers of the rows of one block."""
        found = self.blocks[number]
        return range(found.first_row, found.first_row + found.index.rows_of(found.number))

    def format_of(self, row: int) -> DataFormat:
        """Form of one row."""
        return self.sources[self.blocks[self._block_of(row)].source].format

    def _load(self, number: int) -> Block:
        found = self.blocks[number]
        return READERS[found.file.type].block(found.file.file, found.index, found.number)

    def _block_of(self, row: int) -> int:
        return bisect_right(self._first_rows, row) - 1

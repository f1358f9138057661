"""Apache Parquet; a block is a row group."""

import pyarrow.parquet as pq

from paft_trainer.data.readers.columnar import TableBlock, explained, opened
from paft_trainer.data.readers.reader import BlockIndex, BlockPlace, DataFile

_WHAT = "a Parquet file"


class ParquetReader:
    """Parquet files."""

    def index(self, file: DataFile) -> BlockIndex:
        """See FileReader."""
        with explained(file, _WHAT), opened(file) as content:
            metadata = pq.ParquetFile(content).metadata
            sizes = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
        places, row = [], 0
        for size in sizes:
            if size:
                places.append(BlockPlace(len(places), row, 0))
            row += size
        return BlockIndex(places=places, rows=row, size=len(places))

    def block(self, file: DataFile, index: BlockIndex, number: int) -> TableBlock:
        """See FileReader."""
        with explained(file, _WHAT), opened(file) as content:
            table = pq.ParquetFile(content).read_row_group(index.places[number].start)
        return TableBlock(file.uri, table, index.places[number].row)

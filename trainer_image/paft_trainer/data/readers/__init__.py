"""One reader for each type of file; what they have in common is in `reader`."""

from collections.abc import Mapping

from paft_api.spec.data import FileType
from paft_trainer.data.readers.arrow import ArrowReader
from paft_trainer.data.readers.delimited import DelimitedReader
from paft_trainer.data.readers.json_array import JsonArrayReader
from paft_trainer.data.readers.jsonl import JsonlReader
from paft_trainer.data.readers.parquet import ParquetReader
from paft_trainer.data.readers.reader import FileReader

READERS: Mapping[FileType, FileReader] = {
    FileType.JSONL: JsonlReader(),
    FileType.JSON: JsonArrayReader(),
    FileType.CSV: DelimitedReader(","),
    FileType.TSV: DelimitedReader("\t"),
    FileType.PARQUET: ParquetReader(),
    FileType.ARROW: ArrowReader(),
}
"""By type; auto is none, as it stands for one of the others."""

__all__ = ["READERS", "FileReader"]

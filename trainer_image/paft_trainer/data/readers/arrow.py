"""Apache Arrow, as files with a footer and as streams, which Hugging Face data sets are saved in; a block is a record
batch."""

from typing import Any

import pyarrow as pa

from paft_trainer.data.readers.columnar import TableBlock, explained, opened
from paft_trainer.data.readers.reader import BlockIndex, BlockPlace, DataFile
from paft_trainer.errors import DataInvalid

FILE_MAGIC = b"ARROW1"
STREAM, FILE = "stream", "file"
_WHAT = "an Arrow file or stream"


class ArrowReader:
    """Arrow files and streams."""

    def index(self, file: DataFile) -> BlockIndex:
        """See FileReader."""
        with explained(file, _WHAT):
            if file.read(0, min(len(FILE_MAGIC), file.info.size)) == FILE_MAGIC:
                return _index_file(file)
            return _index_stream(file)

    def block(self, file: DataFile, index: BlockIndex, number: int) -> TableBlock:
        """See FileReader."""
        place = index.places[number]
        with explained(file, _WHAT):
            if index.header == FILE:
                with opened(file) as content:
                    batch = pa.ipc.open_file(content).get_batch(place.start)
                    return TableBlock(file.uri, batch, place.row)
            schema = pa.ipc.read_schema(pa.py_buffer(bytes.fromhex(index.header.partition(":")[2])))
            start, size = index.span(number)
            message = pa.ipc.read_message(pa.py_buffer(file.read(start, size)))
            return TableBlock(file.uri, pa.ipc.read_record_batch(message, schema), place.row)


def _index_file(file: DataFile) -> BlockIndex:
    with opened(file) as content:
        batches = pa.ipc.open_file(content)
        places, row = [], 0
        for number in range(batches.num_record_batches):
            rows = batches.get_batch(number).num_rows
            if rows:
                places.append(BlockPlace(number, row, 0))
            row += rows
    return BlockIndex(places=places, rows=row, size=0, header=FILE)


def _index_stream(file: DataFile) -> BlockIndex:
    places, row = [], 0
    with opened(file) as content:
        messages = pa.ipc.MessageReader.open_stream(pa.PythonFile(content, mode="r"))
        schema_message = messages.read_next_message()
        schema = pa.ipc.read_schema(schema_message)
        _refuse_dictionaries(file, schema)
        start = content.tell()
        while (message := _next(messages)) is not None:
            rows = pa.ipc.read_record_batch(message, schema).num_rows
            if rows:
                places.append(BlockPlace(start, row, 0))
            row += rows
            start = content.tell()
    header = f"{STREAM}:{schema_message.serialize().to_pybytes().hex()}"
    return BlockIndex(places=places, rows=row, size=start, header=header)


def _next(messages: Any) -> Any:
    try:
        return messages.read_next_message()
    except StopIteration:
        return None


def _refuse_dictionaries(file: DataFile, schema: pa.Schema) -> None:
    name = next((field.name for field in schema if pa.types.is_dictionary(field.type)), None)
    if name is not None:
        raise DataInvalid(
            f"{file.uri}: the column {name} is dictionary-encoded, whose parts cannot be read apart in a stream",
            remedy="Write it as plain text, or save the data as Parquet.",
        )

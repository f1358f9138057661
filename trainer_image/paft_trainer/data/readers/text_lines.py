"""Text files as blocks of rows, found while the file is read in pieces: what JSONL and CSV have in common."""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from paft_trainer.data.readers.reader import BLOCK_BYTES, BlockIndex, BlockPlace, DataFile
from paft_trainer.read_ahead import ReadAhead

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_NEWLINE = 10
_BLANK = np.frombuffer(b" \t\r\n\v\f", dtype=np.uint8)

RowEnds = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.int64]]
"""Positions of those newlines in a piece of the file that end a row; called with the pieces in order."""


def every_newline(content: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """All newlines end a row."""
    return np.flatnonzero(content == _NEWLINE)


def text_chunks(file: DataFile) -> Iterator[bytes]:
    """The file in pieces."""
    with ReadAhead(file.store) as reads:
        yield from reads.chunks(file.uri, 0, file.info.size, etag=file.info.etag)


def index_lines(file: DataFile, row_ends: RowEnds) -> BlockIndex:
    """The blocks of a file whose rows end with newlines; rows of blanks alone are none."""
    places: list[BlockPlace] = []
    rows, line, offset = 0, 1, 0
    rest = b""
    for chunk in _ending_in_newline(text_chunks(file)):
        content = rest + chunk
        array = np.frombuffer(content, dtype=np.uint8)
        ends = row_ends(array[len(rest) :]) + len(rest)
        newlines = np.flatnonzero(array == _NEWLINE)
        begin = 0
        for end in ends.tolist():
            if not _is_blank(content, begin, end, at_start=offset + begin == 0):
                start = offset + begin
                if not places or start // BLOCK_BYTES != places[-1].start // BLOCK_BYTES:
                    row_line = line + int(np.searchsorted(newlines, begin))
                    places.append(BlockPlace(start, rows, row_line))
                rows += 1
            begin = end + 1
        line += int(np.searchsorted(newlines, begin))
        rest = content[begin:]
        offset += begin
    if rest.strip():
        # A row that never ends, such as one with an open quotation mark, is the last one.
        places.append(BlockPlace(offset, rows, line))
        rows += 1
    return BlockIndex(places=places, rows=rows, size=file.info.size)


def rows_of_block(content: bytes, start: int, line: int, row_ends: RowEnds) -> list[tuple[int, int, bytes]]:
    """Offset, line and bytes of each row in a block that begins at byte `start`."""
    rows = []
    array = np.frombuffer(content + b"\n", dtype=np.uint8)
    begin = 0
    ends = row_ends(array).tolist()
    for end in ends if ends and ends[-1] == len(content) else [*ends, len(content)]:
        text = content[begin:end]
        mark = len(BYTE_ORDER_MARK) if start + begin == 0 and text.startswith(BYTE_ORDER_MARK) else 0
        if text[mark:].strip():
            rows.append((start + begin + mark, line, text[mark:]))
        line += text.count(b"\n") + 1
        begin = end + 1
    return rows


def _is_blank(content: bytes, begin: int, end: int, *, at_start: bool) -> bool:
    if at_start and content.startswith(BYTE_ORDER_MARK):
        begin += len(BYTE_ORDER_MARK)
    return begin >= end or (content[begin] in _BLANK and not content[begin:end].strip())


def _ending_in_newline(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same, with a newline after the last line where it has none."""
    last = b"\n"
    for chunk in chunks:
        yield chunk
        last = chunk or last
    if not last.endswith(b"\n"):
        yield b"\n"

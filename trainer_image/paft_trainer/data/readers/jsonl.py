"""JSON Lines: one object in each line."""

from dataclasses import dataclass

from paft_trainer.data.readers.reader import BlockIndex, DataFile, Record, decoded, parse_object
from paft_trainer.data.readers.text_lines import every_newline, index_lines, rows_of_block


class JsonlReader:
    """Files of JSON lines; blank lines are passed over."""

    def index(self, file: DataFile) -> BlockIndex:
        """See FileReader."""
        return index_lines(file, every_newline)

    def block(self, file: DataFile, index: BlockIndex, number: int) -> "_Lines":
        """See FileReader."""
        start, size = index.span(number)
        return _Lines(file.uri, rows_of_block(file.read(start, size), start, index.places[number].line, every_newline))


@dataclass(frozen=True, slots=True)
class _Lines:
    uri: str
    rows: list[tuple[int, int, bytes]]

    def __len__(self) -> int:
        return len(self.rows)

    def record(self, position: int) -> Record:
        offset, line, content = self.rows[position]
        place = f"{self.uri}:{line}"
        return Record(place, parse_object(place, decoded(place, content, offset=offset)))

    @property
    def memory(self) -> int:
        return sum(len(content) for _, _, content in self.rows)

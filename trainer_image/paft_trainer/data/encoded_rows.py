"""Rows as tokens without holding them: all are encoded once to learn how long they are, and again when they are used.

The first pass is shared out over processes by blocks. Of each row all processes then know its number and its size; the
process that computes a row reads and encodes it anew, unless it is among those that were kept.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, overload

import numpy as np
import numpy.typing as npt
from transformers import PreTrainedTokenizerBase

from paft_api.spec.data import DataFormat, DataSource
from paft_trainer.data.bad_rows import BadRows
from paft_trainer.data.chat import Encoded
from paft_trainer.data.encoding import Encoder, encode_placed, encoder, is_usable
from paft_trainer.data.mixing import Mixture
from paft_trainer.data.open_rows import OpenRows
from paft_trainer.data.processes import ALONE, Processes, ToldError
from paft_trainer.errors import StageError
from paft_trainer.storage import ObjectStore

KEPT_BYTES = 256 * 1024 * 1024
"""Of tokens and labels that a process keeps; whole data sets, where they are small."""

READ_AHEAD = 8
"""Blocks."""

RowSize = tuple[int, int]
"""Tokens of a row in all its sequences, and those over which the arm's loss is a mean."""


class _Surveyed(NamedTuple):
    """One block. `numbers`: of its usable rows, among all; `sizes`: of these, int32, shape (rows, 2). `wrong`: errors
    of the rows that are left out."""

    numbers: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int32]
    wrong: list[ToldError]


class ReadAheadRows(Sequence[Encoded]):
    """Rows that can be read before they are asked for."""

    @abstractmethod
    def begin(self, numbers: Iterable[int]) -> None:
        """Start to read rows that will be asked for."""


class EncodedRows(ReadAheadRows):
    """Rows of sources that something can be learnt from, in order.

    `sizes`: int32, shape (rows, 2), a RowSize each. `mixture`: how often they come in an epoch. `bad_rows`: what was
    left out.
    """

    def __init__(
        self,
        store: ObjectStore,
        sources: Sequence[DataSource],
        encoder_of: Callable[[DataFormat], Encoder],
        max_length: int,
        *,
        measure: Callable[[Encoded], RowSize] = lambda row: (0, 0),
        max_bad_rows: int = 0,
        processes: Processes = ALONE,
    ) -> None:
        """`encoder_of`: what makes tokens of rows of a format, of SFT cut at `max_length`.

        Collective. Raises DataInvalid, ConfigInvalid and StorageError, the same on all processes.
        """
        self._rows = OpenRows(store, sources, processes)
        self._encoders = {source.format: encoder_of(source.format) for source in sources}
        self._max_length = max_length
        self._measure = measure
        self._kept = _KeptRows()
        self.bad_rows = BadRows(max_bad_rows)
        surveyed = processes.share(range(len(self._rows.blocks)), partial(self._survey, processes.count))
        for told in (told for block in surveyed for told in block.wrong):
            with self.bad_rows.left_out():
                raise told.as_error()
        numbers = [block.numbers for block in surveyed]
        self._numbers = np.concatenate([np.zeros(0, np.int64), *numbers])
        self.sizes = np.concatenate([np.zeros((0, 2), np.int32), *(block.sizes for block in surveyed)])
        counts = [0] * len(sources)
        for block, found in zip(self._rows.blocks, numbers, strict=True):
            counts[block.source] += len(found)
        self.mixture = Mixture.of(counts, [source.weight for source in sources])

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, number: int) -> Encoded: ...

    @overload
    def __getitem__(self, number: slice) -> list[Encoded]: ...

    def __getitem__(self, number: int | slice) -> Encoded | list[Encoded]:
        if isinstance(number, slice):
            return [self[index] for index in range(*number.indices(len(self)))]
        if not 0 <= number < len(self):
            raise IndexError(number)
        row = int(self._numbers[number])
        return self._kept.get(row) or self._encode(row)

    def begin(self, numbers: Iterable[int]) -> None:
        """See ReadAheadRows."""
        rows = (int(self._numbers[number]) for number in numbers)
        self._rows.begin(row for row in rows if row not in self._kept)

    def _encode(self, row: int) -> Encoded:
        encoded = encode_placed(self._encoders[self._rows.format_of(row)], self._rows.read(row))
        self._kept.put(row, encoded)
        return encoded

    def _survey(self, step: int, number: int) -> _Surveyed:
        """One block; of this process, those `step` further on come next."""
        self._rows.begin_blocks(range(number + step, number + step * READ_AHEAD, step))
        numbers: list[int] = []
        sizes: list[RowSize] = []
        wrong: list[ToldError] = []
        for row in self._rows.rows_of(number):
            try:
                encoded = self._encode(row)
            except StageError as error:
                if not self.bad_rows.allows(error):
                    raise
                wrong.append(ToldError.of(error))
                continue
            if is_usable(encoded, self._max_length):
                numbers.append(row)
                sizes.append(self._measure(encoded))
        return _Surveyed(np.array(numbers, np.int64), np.array(sizes, np.int32).reshape(-1, 2), wrong)


class _KeptRows:
    """Encoded rows in memory, as long as there is room."""

    def __init__(self) -> None:
        self._rows: dict[int, dict[str, npt.NDArray[np.int32]]] = {}
        self._bytes = 0

    def __contains__(self, row: int) -> bool:
        return row in self._rows

    def get(self, row: int) -> Encoded | None:
        """The row, if it is kept."""
        kept = self._rows.get(row)
        return None if kept is None else {name: values.tolist() for name, values in kept.items()}

    def put(self, row: int, encoded: Encoded) -> None:
        """Keep it where there is room."""
        if self._bytes < KEPT_BYTES:
            self._rows[row] = {name: np.array(values, np.int32) for name, values in encoded.items()}
            self._bytes += sum(values.nbytes for values in self._rows[row].values())


class SelectedRows(Sequence[Encoded]):
    """Some of other rows."""

    def __init__(self, rows: Sequence[Encoded], numbers: Sequence[int]) -> None:
        self._rows = rows
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, number: int) -> Encoded:  # type: ignore[override]
        return self._rows[self._numbers[number]]


class RowsWithColumns(ReadAheadRows):
    """Other rows with more fields. `columns`: an array of a value for each row, by name."""

    def __init__(self, rows: Sequence[Encoded], columns: Mapping[str, Any]) -> None:
        self._rows = rows
        self._columns = columns

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> Encoded:  # type: ignore[override]
        return {**self._rows[number], **{name: values[number] for name, values in self._columns.items()}}

    def begin(self, numbers: Iterable[int]) -> None:
        """See ReadAheadRows."""
        if isinstance(self._rows, ReadAheadRows):
            self._rows.begin(numbers)


def usable_rows(
    store: ObjectStore, sources: Sequence[DataSource], tokenizer: PreTrainedTokenizerBase, max_length: int
) -> list[Encoded]:
    """All rows that something can be learnt from, in memory and in order. Raises DataInvalid or ConfigInvalid."""
    return list(EncodedRows(store, sources, lambda form: encoder(tokenizer, form, max_length), max_length))

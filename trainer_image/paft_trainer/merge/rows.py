"""Rows of a matrix that are worked on together."""

from collections.abc import Iterator
from dataclasses import dataclass

CHUNK_ELEMENTS = 1024 * 1024
"""Elements of a weight that are read, merged and written at once, as far as whole rows allow."""
BLOCK_ELEMENTS = 256 * 1024
"""Elements whose deltas are held at once: few enough for caches, and enough that calls of kernels cost little."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """Rows `start` up to `stop` of a matrix with so many columns."""

    start: int
    stop: int
    columns: int

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.stop - self.start

    @property
    def first_index(self) -> int:
        """Index in the whole matrix of the first entry."""
        return self.start * self.columns

    def cut(self, elements: int) -> Iterator["Rows"]:
        """The same rows in parts of at most so many elements, but at least one row, in order."""
        height = max(1, elements // max(1, self.columns))
        for start in range(self.start, self.stop, height):
            yield Rows(start=start, stop=min(start + height, self.stop), columns=self.columns)

"""The seam between those who need a base's bytes and where they come from."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from paft_trainer.base.piece_index import PieceIndex, PieceRun

PART_BYTES = 8 * 1024 * 1024
"""At most so many bytes are asked for, and given, at a time."""


class PieceSource(Protocol):
    """Gives verified bytes of one base. Safe to use from several threads, each with reads of its own."""

    @property
    def index(self) -> PieceIndex:
        """What is known of the base."""

    @property
    def bytes_read(self) -> int:
        """Bytes that were read from the object store so far, those that were read twice counted twice."""

    def read(self, runs: Sequence[PieceRun]) -> Iterator[tuple[PieceRun, memoryview]]:
        """The bytes of these runs, each piece verified, in any order, as they arrive.

        A run of more than PART_BYTES, or one that suits the source better so, comes as several shorter ones; together
        they have each piece that was asked for once. Runs must not overlap; those without pieces are left out. About
        100 MiB are in memory at a time, besides what the caller keeps. Raises ArtifactMismatch where bytes are not
        what the index says, also when read once more; ObjectChanged where the object is another one than was
        indexed; and the errors of the store.
        """

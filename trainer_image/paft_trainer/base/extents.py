"""The units in which a node keeps a base: extents, some MiB of consecutive pieces of one file each. Pure.

Which there are follows from the index alone, so that all processes agree on them. An extent is named by its content:
one base cut into shards in two ways has two sets of them, and neither is taken for the other.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from paft_trainer.base.piece_index import PieceIndex, PieceRun

EXTENT_BYTES = 16 * 1024 * 1024
"""An extent ends with the first piece with which it has as many bytes, or with its file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Extent:
    """`name`: of its file in a cache, 64 hexadecimal digits. `runs`: its pieces, without gaps between them."""

    name: str
    runs: tuple[PieceRun, ...]

    @property
    def start(self) -> int:
        """Offset of its first byte in the base's file."""
        return self.runs[0].file_start

    @property
    def size(self) -> int:
        """Bytes."""
        return self.runs[-1].file_stop - self.start


class Extents:
    """All extents of a base."""

    def __init__(self, index: PieceIndex) -> None:
        tensors = sorted(index.tensors.values(), key=lambda tensor: (tensor.file, tensor.start))
        self._of_file: dict[str, list[Extent]] = {
            file: [*_cut(tensor.all_pieces for tensor in its_tensors if tensor.size > 0)]
            for file, its_tensors in groupby(tensors, key=lambda tensor: tensor.file)
        }
        self._starts = {file: [extent.start for extent in extents] for file, extents in self._of_file.items()}
        self.names = frozenset(extent.name for extents in self._of_file.values() for extent in extents)

    def holding(self, runs: Iterable[PieceRun]) -> list[tuple[Extent, list[PieceRun]]]:
        """The extents that have pieces of these runs, and which ones, in the order of files and bytes."""
        wanted: dict[str, tuple[Extent, list[PieceRun]]] = {}
        for run in sorted(runs, key=lambda run: (run.tensor.file, run.file_start)):
            for extent in self._around(run):
                common = [part for own in extent.runs if (part := own.common(run)) is not None]
                wanted.setdefault(extent.name, (extent, []))[1].extend(common)
        return [*wanted.values()]

    def _around(self, run: PieceRun) -> Iterator[Extent]:
        if run.count == 0:
            return
        extents = self._of_file[run.tensor.file]
        position = bisect_right(self._starts[run.tensor.file], run.file_start) - 1
        while position < len(extents) and extents[position].start < run.file_stop:
            yield extents[position]
            position += 1


def _cut(runs: Iterable[PieceRun]) -> Iterator[Extent]:
    """`runs` of all pieces of a file."""
    together: list[PieceRun] = []
    left = EXTENT_BYTES
    for run in runs:
        rest = run
        while rest.count > 0:
            # As many pieces as it takes, the last of which may go beyond.
            part, rest = rest.split(-(-left // run.tensor.piece_bytes))
            together.append(part)
            left -= part.size
            if left <= 0:
                yield _extent(together)
                together, left = [], EXTENT_BYTES
    if together:
        yield _extent(together)


def _extent(runs: list[PieceRun]) -> Extent:
    content = hashlib.sha256()
    for run in runs:
        content.update(run.hashes)
    return Extent(name=content.hexdigest(), runs=tuple(runs))

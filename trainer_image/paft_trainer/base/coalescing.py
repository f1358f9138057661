"""Which requests get the pieces that are wanted: few, of bounded size, and hardly any byte that nobody wants. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from paft_trainer.base.piece_index import PieceRun

BRIDGED_SHARE = 0.01
"""Bytes between wanted ones that are read along, to save requests: at most this share of the wanted ones. Half of what
a whole arm may read beyond its base; the rest is for headers, and for what is read again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One range of a file. `runs`: those it gets, in the order of their bytes. `start`, `stop`: offsets in the file."""

    file: str
    runs: tuple[PieceRun, ...]

    @property
    def start(self) -> int:
        """Offset of its first byte."""
        return self.runs[0].file_start

    @property
    def stop(self) -> int:
        """Offset behind its last byte."""
        return self.runs[-1].file_stop

    def part_of(self, run: PieceRun, content: memoryview) -> memoryview:
        """The bytes of one of its runs in its own."""
        return content[run.file_start - self.start : run.file_stop - self.start]


def plan_requests(runs: Iterable[PieceRun], *, most_bytes: int) -> list[Request]:
    """Requests of at most `most_bytes` for these runs, which must not overlap, in the order of files and bytes.

    Neighbours share a request. Gaps are bridged, the smallest first, as long as BRIDGED_SHARE lasts.
    """
    parts = sorted(
        (part for run in runs for part in run.cut(most_bytes)), key=lambda part: (part.tensor.file, part.file_start)
    )
    widest = _widest_bridge(parts)
    requests: list[Request] = []
    together: list[PieceRun] = []
    for part in parts:
        if together and not _fits(together, part, widest=widest, most_bytes=most_bytes):
            requests.append(Request(file=together[0].tensor.file, runs=tuple(together)))
            together = []
        together.append(part)
    if together:
        requests.append(Request(file=together[0].tensor.file, runs=tuple(together)))
    return requests


def _fits(together: Sequence[PieceRun], part: PieceRun, *, widest: int, most_bytes: int) -> bool:
    last = together[-1]
    gap = part.file_start - last.file_stop
    assert part.tensor.file != last.tensor.file or gap >= 0, "runs overlap"
    return (
        part.tensor.file == last.tensor.file and gap <= widest and part.file_stop - together[0].file_start <= most_bytes
    )


def _widest_bridge(parts: Sequence[PieceRun]) -> int:
    """All gaps up to this width can be bridged within BRIDGED_SHARE."""
    budget = BRIDGED_SHARE * sum(part.size for part in parts)
    gaps = sorted(
        part.file_start - last.file_stop for last, part in pairwise(parts) if part.tensor.file == last.tensor.file
    )
    bridged = widest = 0
    for width, alike in groupby(gaps):
        bridged += width * len([*alike])
        if bridged > budget:
            break
        widest = width
    return widest

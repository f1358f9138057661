"""Which bytes of which tensor each rank holds, which it reads, and which it passes on; pure, alike on every rank.

ZeRO-3 cuts every parameter into `world_size` equal parts, the last ones padded (Rajbhandari et al., ZeRO, arXiv
1910.02054; `Init._partition_param` of DeepSpeed). A part seldom ends where a hashed piece does. The piece between
two parts is read and checked by one of the ranks that need it, and its bytes are passed on to the others, so that all
ranks together read every byte once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from paft_trainer.base.piece_source import PART_BYTES

LEAST_PART_BYTES = 1024 * 1024
"""Tensors whose parts are smaller are read without regard to them: a request costs as much as passing a megabyte on."""
READ_TOGETHER_BYTES = PART_BYTES
"""Of such tensors one rank reads so many neighbouring bytes, by one request, before it is the next one's turn."""
EXCHANGED_BYTES = 32 * 1024 * 1024
"""What a rank passes on, or is passed, before ranks exchange it; both are held in memory until then."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorLayout:
    """One tensor of the checkpoint. `size`, `element_bytes` and `piece_bytes`: bytes, in the checkpoint's dtype.

    `is_split`: ranks hold one part each; otherwise every rank holds all of it, as it does of a buffer.
    """

    name: str
    size: int
    element_bytes: int
    piece_bytes: int
    is_split: bool = True

    def held_by(self, rank: int, world_size: int) -> tuple[int, int]:
        """First byte of a rank's part, and the byte after its last; equal where only padding is left for it."""
        if not self.is_split:
            return 0, self.size
        part = self.part_bytes(world_size)
        return min(rank * part, self.size), min((rank + 1) * part, self.size)

    def part_bytes(self, world_size: int) -> int:
        """Bytes of each part, padding included."""
        return -(-(self.size // self.element_bytes) // world_size) * self.element_bytes

    def holders(self, start: int, stop: int, world_size: int) -> range:
        """Ranks that hold any of the bytes from `start` to before `stop`."""
        if not self.is_split:
            return range(world_size)
        part = self.part_bytes(world_size)
        return range(start // part, (stop - 1) // part + 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """Neighbouring pieces of a tensor, to be read and checked by one rank. `first`: number of the first of them."""

    tensor: str
    first: int
    count: int
    reader: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Slice:
    """Bytes of a tensor, from `start` to before `stop`, that `reader` reads and `holder` holds."""

    tensor: str
    start: int
    stop: int
    reader: int
    holder: int

    @property
    def size(self) -> int:
        """Bytes."""
        return self.stop - self.start


@dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    """What all ranks read before they exchange `slices`, which no reader holds itself."""

    readings: tuple[Reading, ...]
    slices: tuple[Slice, ...]


def plan_rounds(
    layouts: Sequence[TensorLayout], world_size: int, *, exchanged_bytes: int = EXCHANGED_BYTES
) -> list[Round]:
    """All reading of all ranks; tensors in the given order. A rank passes on about `exchanged_bytes` per round."""
    readings = _divide(layouts, world_size)
    rounds: list[Round] = []
    pending: list[Reading] = []
    slices: list[Slice] = []
    passed, got = [0] * world_size, [0] * world_size
    for layout in layouts:
        for reading in readings[layout.name]:
            pending.append(reading)
            for part in _slices(layout, reading, world_size):
                slices.append(part)
                passed[part.reader] += part.size
                got[part.holder] += part.size
        if max(*passed, *got) >= exchanged_bytes:
            rounds.append(Round(readings=tuple(pending), slices=tuple(slices)))
            pending, slices = [], []
            passed, got = [0] * world_size, [0] * world_size
    if pending:
        rounds.append(Round(readings=tuple(pending), slices=tuple(slices)))
    return rounds


def _divide(layouts: Sequence[TensorLayout], world_size: int) -> dict[str, list[Reading]]:
    """Every piece to one rank: to the one that holds it, else to the one of its holders that has least to read."""
    candidates = {layout.name: list(_candidates(layout, world_size)) for layout in layouts}
    load = [0] * world_size
    for layout in layouts:
        for _, count, holders in candidates[layout.name]:
            if len(holders) == 1:
                load[holders[0]] += count * layout.piece_bytes
    turn = _Turn(load)
    return {
        layout.name: [
            Reading(
                tensor=layout.name,
                first=first,
                count=count,
                reader=holders[0] if len(holders) == 1 else turn.take(holders, count * layout.piece_bytes),
            )
            for first, count, holders in candidates[layout.name]
        ]
        for layout in layouts
    }


class _Turn:
    """Whose turn it is to read what several ranks hold. `load`: bytes that each rank has to read so far."""

    def __init__(self, load: list[int]) -> None:
        self._load = load
        self._reader = 0
        self._left = 0

    def take(self, holders: range, size: int) -> int:
        """The rank that reads the next `size` bytes: the last one, until it has READ_TOGETHER_BYTES."""
        if self._reader not in holders or size > self._left:
            self._reader = min(holders, key=self._load.__getitem__)
            self._left = READ_TOGETHER_BYTES
        self._left -= size
        self._load[self._reader] += size
        return self._reader


def _candidates(layout: TensorLayout, world_size: int) -> Iterator[tuple[int, int, range]]:
    """Runs of pieces (the first, their count) that the same ranks hold; of tensors with small parts, runs that suit
    requests."""
    pieces = -(-layout.size // layout.piece_bytes)
    edges = {0, pieces}
    if layout.is_split and layout.part_bytes(world_size) >= LEAST_PART_BYTES:
        for rank in range(1, world_size):
            boundary = layout.held_by(rank, world_size)[0]
            edges |= {boundary // layout.piece_bytes, -(-boundary // layout.piece_bytes)}
    else:
        edges |= {*range(0, pieces, max(READ_TOGETHER_BYTES // layout.piece_bytes, 1))}
    for first, after in pairwise(sorted(edges)):
        start, stop = first * layout.piece_bytes, min(after * layout.piece_bytes, layout.size)
        yield first, after - first, layout.holders(start, stop, world_size)


def _slices(layout: TensorLayout, reading: Reading, world_size: int) -> Iterator[Slice]:
    """What of a reading goes to other ranks."""
    start = reading.first * layout.piece_bytes
    stop = min((reading.first + reading.count) * layout.piece_bytes, layout.size)
    for holder in layout.holders(start, stop, world_size):
        if holder == reading.reader:
            continue
        held_from, held_to = layout.held_by(holder, world_size)
        yield Slice(
            tensor=layout.name,
            start=max(start, held_from),
            stop=min(stop, held_to),
            reader=reading.reader,
            holder=holder,
        )

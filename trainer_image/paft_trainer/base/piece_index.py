"""What is known of a base's bytes once they were read: where each tensor lies, and the hash of each piece of it. Pure.

A tensor is cut into pieces of one size, the last one shorter. Any range of it can then be checked by itself, which a
rank needs that reads a slice, and which the hash of the whole tensor does not allow.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

HASH_BYTES = 32
SMALLEST_PIECE_BYTES = 4 * 1024
LARGEST_PIECE_BYTES = 1024 * 1024
PIECES_OF_A_TENSOR = 1024
"""At most, as long as pieces of LARGEST_PIECE_BYTES are large enough for that: in tensors of up to 1 GiB."""


def piece_bytes_of(size: int) -> int:
    """Bytes of each piece of a tensor of `size` bytes: the smallest power of two of which PIECES_OF_A_TENSOR suffice,
    within SMALLEST_PIECE_BYTES and LARGEST_PIECE_BYTES."""
    wanted = -(-size // PIECES_OF_A_TENSOR)
    power = 1 << max(wanted - 1, 0).bit_length()
    return min(max(power, SMALLEST_PIECE_BYTES), LARGEST_PIECE_BYTES)


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexedFile:
    """A file of weights. `size`: bytes. `etag`: when it was hashed. `data_start`: bytes before its tensors.
    `header_sha256`: of these bytes, hexadecimal."""

    name: str
    size: int
    etag: str
    data_start: int
    header_sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexedTensor:
    """A tensor. `file`: name of its file. `dtype`: the word of safetensors. `start`: offset of its first byte in its
    file. `size`: bytes. `sha256`: of all of it, hexadecimal. `hashes`: SHA-256 of each piece, HASH_BYTES each, in
    order. A tensor without bytes has no pieces."""

    name: str
    file: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    size: int
    piece_bytes: int
    sha256: str
    hashes: bytes

    @property
    def pieces(self) -> int:
        """Number of its pieces."""
        return -(-self.size // self.piece_bytes)

    @property
    def all_pieces(self) -> "PieceRun":
        """The run of all its pieces."""
        return PieceRun(tensor=self, first=0, count=self.pieces)

    def covering(self, start: int, stop: int) -> "PieceRun":
        """The shortest run that has the bytes from `start` to before `stop`, offsets within the tensor."""
        assert 0 <= start <= stop <= self.size
        first = start // self.piece_bytes
        return PieceRun(tensor=self, first=first, count=-(-stop // self.piece_bytes) - first if stop > start else 0)

    def hash_of(self, piece: int) -> bytes:
        """SHA-256 of one piece."""
        return self.hashes[piece * HASH_BYTES : (piece + 1) * HASH_BYTES]


@dataclass(frozen=True, kw_only=True, slots=True)
class PieceRun:
    """`count` pieces of a tensor from piece `first` on. One without pieces is allowed, and has no bytes."""

    tensor: IndexedTensor
    first: int
    count: int

    @property
    def start(self) -> int:
        """Offset of its first byte within the tensor."""
        return self.first * self.tensor.piece_bytes

    @property
    def stop(self) -> int:
        """Offset behind its last byte within the tensor."""
        return min((self.first + self.count) * self.tensor.piece_bytes, self.tensor.size) if self.count else self.start

    @property
    def size(self) -> int:
        """Bytes."""
        return self.stop - self.start

    @property
    def file_start(self) -> int:
        """Offset of its first byte in the file."""
        return self.tensor.start + self.start

    @property
    def file_stop(self) -> int:
        """Offset behind its last byte in the file."""
        return self.tensor.start + self.stop

    def cut(self, most_bytes: int) -> "Iterator[PieceRun]":
        """The same pieces in runs of at most `most_bytes`, and of at least one piece."""
        step = max(most_bytes // self.tensor.piece_bytes, 1)
        for first in range(self.first, self.first + self.count, step):
            yield PieceRun(tensor=self.tensor, first=first, count=min(step, self.first + self.count - first))

    @property
    def hashes(self) -> bytes:
        """SHA-256 of each of its pieces."""
        return self.tensor.hashes[self.first * HASH_BYTES : (self.first + self.count) * HASH_BYTES]

    def split(self, count: int) -> "tuple[PieceRun, PieceRun]":
        """The first `count` pieces, or as many as there are, and the rest."""
        taken = min(count, self.count)
        rest = PieceRun(tensor=self.tensor, first=self.first + taken, count=self.count - taken)
        return PieceRun(tensor=self.tensor, first=self.first, count=taken), rest

    def common(self, other: "PieceRun") -> "PieceRun | None":
        """The pieces that are in both, None where there are none."""
        first = max(self.first, other.first)
        count = min(self.first + self.count, other.first + other.count) - first
        if self.tensor.name != other.tensor.name or count <= 0:
            return None
        return PieceRun(tensor=self.tensor, first=first, count=count)

    def part_of(self, other: "PieceRun", content: memoryview) -> memoryview:
        """Its bytes in those of another run that has all its pieces."""
        return content[self.start - other.start : self.stop - other.start]

    def wrong_piece(self, content: memoryview) -> int | None:
        """The first piece whose bytes in `content`, those of the whole run, do not have its hash. None where all do."""
        for index in range(self.count):
            piece = content[index * self.tensor.piece_bytes : (index + 1) * self.tensor.piece_bytes]
            if hashlib.sha256(piece).digest() != self.tensor.hash_of(self.first + index):
                return self.first + index
        return None


@dataclass(frozen=True, kw_only=True)
class PieceIndex:
    """A whole base. `base_digest`: its identity. `files`, `tensors`: by name, in the order of files and bytes."""

    base_digest: str
    files: Mapping[str, IndexedFile]
    tensors: Mapping[str, IndexedTensor]

    @cached_property
    def size(self) -> int:
        """Bytes of all tensors."""
        return sum(tensor.size for tensor in self.tensors.values())

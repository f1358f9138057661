"""Hashes of tensors whose bytes pass by once, in chunks that know nothing of where tensors and pieces end."""

import hashlib
from collections.abc import Iterable, Sequence

from paft_trainer.base.piece_index import IndexedTensor, piece_bytes_of
from paft_trainer.safetensors_files import TensorEntry


def hash_tensors(file: str, entries: Sequence[TensorEntry], chunks: Iterable[bytes]) -> list[IndexedTensor]:
    """Tensors that follow one another in a file without gaps; `chunks` are all their bytes."""
    hashed: list[IndexedTensor] = []
    waiting = iter(entries)
    current = _TensorHashes(next(waiting))
    for content in chunks:
        chunk = memoryview(content)
        while len(chunk) > current.left:
            rest = current.left
            current.update(chunk[:rest])
            chunk = chunk[rest:]
            hashed.append(current.finish(file))
            current = _TensorHashes(next(waiting))
        current.update(chunk)
    hashed.append(current.finish(file))
    # What is left has no bytes.
    hashed += [_TensorHashes(entry).finish(file) for entry in waiting]
    return hashed


class _TensorHashes:
    """Hashes one tensor. `left`: its bytes that have not passed by yet."""

    def __init__(self, entry: TensorEntry) -> None:
        self.left = entry.size
        self._entry = entry
        self._piece_bytes = piece_bytes_of(entry.size)
        self._whole = hashlib.sha256()
        self._piece = hashlib.sha256()
        self._room = self._piece_bytes
        self._hashes = bytearray()

    def update(self, chunk: memoryview) -> None:
        """Its next bytes."""
        self._whole.update(chunk)
        self.left -= len(chunk)
        while len(chunk) > 0:
            part = chunk[: self._room]
            self._piece.update(part)
            self._room -= len(part)
            chunk = chunk[len(part) :]
            if self._room == 0:
                self._end_piece()

    def finish(self, file: str) -> IndexedTensor:
        """All of it has passed by."""
        assert self.left == 0
        if self._room < self._piece_bytes:
            self._end_piece()
        return IndexedTensor(
            name=self._entry.name,
            file=file,
            dtype=self._entry.dtype,
            shape=self._entry.shape,
            start=self._entry.start,
            size=self._entry.size,
            piece_bytes=self._piece_bytes,
            sha256=self._whole.hexdigest(),
            hashes=bytes(self._hashes),
        )

    def _end_piece(self) -> None:
        self._hashes += self._piece.digest()
        self._piece = hashlib.sha256()
        self._room = self._piece_bytes

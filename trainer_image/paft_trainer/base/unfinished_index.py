"""What is known so far of a base that is being read, kept in the object store in case that the reader is killed."""

from collections.abc import Iterable, Sequence

from paft_trainer.base.piece_document import encode_pieces, parse_pieces
from paft_trainer.base.piece_index import IndexedFile, IndexedTensor, PieceIndex
from paft_trainer.errors import ArtifactMismatch
from paft_trainer.storage import ObjectInfo, ObjectMissing, ObjectStore

MAXIMUM_BYTES = 64 * 1024 * 1024
"""Of one object here; larger ones are not ours."""


class UnfinishedIndex:
    """A folder with an object for each stretch that was hashed. `listing_digest`: which base's, as its own digest is
    not known before all of it was read. Two readers of one base write the same objects."""

    def __init__(self, store: ObjectStore, folder: str, listing_digest: str) -> None:
        self._store = store
        self._folder = folder
        self._listing_digest = listing_digest

    def known_tensors(self, files: Iterable[IndexedFile]) -> dict[str, IndexedTensor]:
        """Of these files, by name. What is broken or of other files is left out; it is then read again."""
        current = {file.name: file for file in files}
        known: dict[str, IndexedTensor] = {}
        for info in self._store.list(self._folder):
            index = self._read(info)
            if index is not None and all(current.get(name) == file for name, file in index.files.items()):
                known |= index.tensors
        return known

    def keep(self, number: int, file: IndexedFile, tensors: Sequence[IndexedTensor]) -> None:
        """Keep what is known of a stretch. `number`: its place among all."""
        index = PieceIndex(
            base_digest=self._listing_digest,
            files={file.name: file},
            tensors={tensor.name: tensor for tensor in tensors},
        )
        self._store.put(f"{self._folder}{number:06d}.pieces", encode_pieces(index))

    def delete(self) -> None:
        """Nobody needs it any more."""
        for info in self._store.list(self._folder):
            self._store.delete(info.uri)

    def _read(self, info: ObjectInfo) -> PieceIndex | None:
        if info.size > MAXIMUM_BYTES:
            return None
        try:
            index = parse_pieces(info.uri, self._store.read(info.uri))
        except (ArtifactMismatch, ObjectMissing):
            # Broken, or deleted by another reader, who is done.
            return None
        return index if index.base_digest == self._listing_digest else None

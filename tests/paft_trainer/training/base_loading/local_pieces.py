"""A checkpoint of this machine as a source of verified pieces."""

import hashlib
from pathlib import Path

from paft_trainer.base.piece_index import IndexedFile, IndexedTensor, PieceIndex, piece_bytes_of
from paft_trainer.base.store_pieces import StorePieces
from paft_trainer.safetensors_files import TensorEntry, read_header
from paft_trainer.storage.file_store import FileStore, uri_of


def local_pieces(folder: Path, index: PieceIndex | None = None) -> StorePieces:
    """Straight from a folder. `index`: made earlier, perhaps of other bytes."""
    return StorePieces(FileStore(), uri_of(folder) + "/", index or index_pieces(folder))


def index_pieces(folder: Path) -> PieceIndex:
    """Of a folder as it is now."""
    files, tensors = {}, {}
    for path in sorted(folder.glob("*.safetensors")):
        header, content = read_header(FileStore(), uri_of(path)), path.read_bytes()
        info = FileStore().head(uri_of(path))
        assert info is not None
        files[path.name] = IndexedFile(
            name=path.name,
            size=len(content),
            etag=info.etag,
            data_start=header.data_start,
            header_sha256=hashlib.sha256(content[: header.data_start]).hexdigest(),
        )
        tensors |= {entry.name: _tensor(path.name, entry, content) for entry in header.entries}
    return PieceIndex(base_digest="sha256:" + "0" * 64, files=files, tensors=tensors)


def _tensor(file: str, entry: TensorEntry, content: bytes) -> IndexedTensor:
    own, piece_bytes = content[entry.start : entry.start + entry.size], piece_bytes_of(entry.size)
    pieces = [own[start : start + piece_bytes] for start in range(0, entry.size, piece_bytes)]
    return IndexedTensor(
        name=entry.name,
        file=file,
        dtype=entry.dtype,
        shape=entry.shape,
        start=entry.start,
        size=entry.size,
        piece_bytes=piece_bytes,
        sha256=hashlib.sha256(own).hexdigest(),
        hashes=b"".join(hashlib.sha256(piece).digest() for piece in pieces),
    )

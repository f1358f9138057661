"""A checkpoint of this machine as a source of verified pieces."""

from pathlib import Path

from paft_trainer.base.index import index_pieces
from paft_trainer.base.piece_document import encode_pieces, parse_pieces
from paft_trainer.base.store_pieces import StorePieces
from paft_trainer.storage.file_store import FileStore, uri_of

KEPT = "kept-pieces"


def local_pieces(folder: Path) -> StorePieces:
    """Straight from a folder: as it was when its index was kept, or as it is now."""
    kept, uri = folder / KEPT, uri_of(folder) + "/"
    index = parse_pieces(uri, kept.read_bytes()) if kept.exists() else index_pieces(FileStore(), uri)
    return StorePieces(FileStore(), uri, index)


def keep_index(folder: Path) -> None:
    """Keep the index of a folder as it is now."""
    (folder / KEPT).write_bytes(encode_pieces(local_pieces(folder).index))

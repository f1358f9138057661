"""What a launcher hands its ranks of a base: configuration and tokenizer as files, and what is known of the weights.

It is read once for all ranks of a node, and holds no weights.
"""

from dataclasses import dataclass
from pathlib import Path

from paft_trainer.base.kept_index import BaseIndex, parse_kept_pieces, read_raw_pieces
from paft_trainer.base.piece_index import PieceIndex
from paft_trainer.base.whole_copy import copy_file
from paft_trainer.checkpoint_files import INDEX_FILE
from paft_trainer.storage import ObjectStore

# No file of a base can have these names and matter: they are written last.
_INDEX_NAME = ".paft-index.json"
_PIECES_NAME = ".paft-pieces"


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalBase:
    """`folder`: with config.json and the tokenizer. `index`, `pieces`: of the whole base."""

    folder: Path
    index: BaseIndex
    pieces: PieceIndex


def write_local_base(store: ObjectStore, base_uri: str, artifacts_uri: str, index: BaseIndex, folder: Path) -> Path:
    """Fetch and check all files but weights; returns `folder`. `index`: as it is kept under `artifacts_uri`.

    Raises ArtifactMismatch and ObjectChanged where a file is not what the index says.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content = read_raw_pieces(store, artifacts_uri, index)
    weights = parse_kept_pieces(artifacts_uri, index, content).files
    for file in index.files:
        if file.name not in weights and file.name != INDEX_FILE:
            copy_file(store, base_uri, file, folder / file.name)
    (folder / _INDEX_NAME).write_text(index.to_json(), encoding="utf-8")
    (folder / _PIECES_NAME).write_bytes(content)
    return folder


def read_local_base(artifacts_uri: str, folder: Path) -> LocalBase:
    """What was handed on in `folder`."""
    index = BaseIndex.model_validate_json((folder / _INDEX_NAME).read_text(encoding="utf-8"))
    pieces = parse_kept_pieces(artifacts_uri, index, (folder / _PIECES_NAME).read_bytes())
    return LocalBase(folder=folder, index=index, pieces=pieces)

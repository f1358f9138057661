"""What a launcher hands its ranks of a base: configuration and tokenizer as files, and what is known of the weights.

It is read once for all ranks of a node, and holds no weights.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from paft_api.run_spec import NodeCache, RunSpec
from paft_trainer.base.kept_files import KeptFiles
from paft_trainer.base.kept_index import BaseFile, BaseIndex, parse_kept_pieces, read_raw_pieces
from paft_trainer.base.piece_index import PieceIndex
from paft_trainer.base.whole_copy import read_file
from paft_trainer.checkpoint_files import INDEX_FILE
from paft_trainer.storage import ObjectStore

# No file of a base can have these names and matter: they are written last.
_INDEX_NAME = ".paft-index.json"
_PIECES_NAME = ".paft-pieces"
FILES_AT_ONCE = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalBase:
    """`folder`: with config.json and the tokenizer. `index`, `pieces`: of the whole base."""

    folder: Path
    index: BaseIndex
    pieces: PieceIndex


def write_local_base(store: ObjectStore, run_spec: RunSpec, index: BaseIndex, folder: Path) -> Path:
    """Fetch and check all files but weights; returns `folder`. `index`: as it is kept under `artifactsUri`.

    What the node's cache has is not fetched. Raises ArtifactMismatch and ObjectChanged where a file is not what the
    index says.
    """
    folder.mkdir(parents=True, exist_ok=True)
    get = _through_cache(run_spec.base_cache, index)
    base_uri, artifacts_uri = run_spec.base.uri, run_spec.storage.artifacts_uri
    assert index.pieces is not None
    content = get(index.pieces.sha256, index.pieces.size, partial(read_raw_pieces, store, artifacts_uri, index))
    weights = parse_kept_pieces(artifacts_uri, index, content).files

    def write(file: BaseFile) -> None:
        (folder / file.name).write_bytes(get(file.sha256, file.size, partial(read_file, store, base_uri, file)))

    with ThreadPoolExecutor(FILES_AT_ONCE, "paft-small-files") as threads:
        # All of them, so that what one raised is raised here.
        list(threads.map(write, [one for one in index.files if one.name not in weights and one.name != INDEX_FILE]))
    (folder / _INDEX_NAME).write_text(index.to_json(), encoding="utf-8")
    (folder / _PIECES_NAME).write_bytes(content)
    return folder


def _through_cache(cache: NodeCache | None, index: BaseIndex) -> Callable[[str, int, Callable[[], bytes]], bytes]:
    """Gets content by its hash and size, or else by a function; a cache that cannot be used is passed by."""
    if cache is None:
        return lambda sha256, size, fetch: fetch()

    def get(sha256: str, size: int, fetch: Callable[[], bytes]) -> bytes:
        try:
            kept = KeptFiles(Path(cache.directory), index.digest, max_bytes=cache.max_bytes)
            return kept.get(sha256, size, fetch)
        except OSError as error:
            print(f"{cache.directory}: the node's cache cannot be used: {error.strerror}", flush=True)
            return fetch()

    return get


def read_local_base(artifacts_uri: str, folder: Path) -> LocalBase:
    """What was handed on in `folder`."""
    index = BaseIndex.model_validate_json((folder / _INDEX_NAME).read_text(encoding="utf-8"))
    pieces = parse_kept_pieces(artifacts_uri, index, (folder / _PIECES_NAME).read_bytes())
    return LocalBase(folder=folder, index=index, pieces=pieces)

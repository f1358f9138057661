"""Which source of pieces a stage gets."""

from collections.abc import Callable
from pathlib import Path

from paft_api.run_spec import RunSpec
from paft_trainer.base.cached_pieces import CachedPieces
from paft_trainer.base.piece_index import PieceIndex
from paft_trainer.base.piece_source import PieceSource
from paft_trainer.base.store_pieces import StorePieces
from paft_trainer.storage import ObjectStore


def print_notice(message: str) -> None:
    """To the log, at once."""
    print(message, flush=True)


def open_pieces(
    store: ObjectStore, run_spec: RunSpec, index: PieceIndex, *, on_notice: Callable[[str], None] = print_notice
) -> PieceSource:
    """The bytes of the job's base, through the node's cache where there is one and the base is not on the node anyway.

    `on_notice` hears what somebody should know, in one line.
    """
    direct = StorePieces(store, run_spec.base.uri, index, on_notice=on_notice)
    cache = run_spec.base_cache
    if cache is None or run_spec.base.uri.startswith("file://"):
        return direct
    try:
        return CachedPieces(direct, Path(cache.directory), max_bytes=cache.max_bytes, on_notice=on_notice)
    except OSError as error:
        on_notice(f"{cache.directory}: the node's cache cannot be used: {error.strerror}; the base is read directly")
        return direct

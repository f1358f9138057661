"""Which source of pieces a stage gets."""

from collections.abc import Callable

from paft_api.run_spec import RunSpec
from paft_trainer.base.piece_index import PieceIndex
from paft_trainer.base.piece_source import PieceSource
from paft_trainer.base.store_pieces import StorePieces
from paft_trainer.storage import ObjectStore


def open_pieces(
    store: ObjectStore, run_spec: RunSpec, index: PieceIndex, *, on_notice: Callable[[str], None] = print
) -> PieceSource:
    """The bytes of the job's base. `on_notice` hears what somebody should know, in one line."""
    return StorePieces(store, run_spec.base.uri, index, on_notice=on_notice)

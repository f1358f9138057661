"""How rank 0 learns that the other ranks' parts of a checkpoint are there: through the store that the ranks met at.

Not through a collective: parts are uploaded in threads, and collectives of several threads would get into each
other's way. Nor by looking at the object store: an attempt that Kueue evicted goes on in the same folder, where parts
of its earlier life may lie.
"""

import time
from collections.abc import Callable

import torch.distributed as dist
from torch.distributed.distributed_c10d import _get_default_store

from paft_trainer.keeping.saved_checkpoints import CheckpointFile

_LOOK_SECONDS = 0.02
_PREFIX = "paft-checkpoint-parts"


class PartsMissing(Exception):
    """Not all ranks have uploaded their parts, and nobody waits for them any more."""


class PartRecords:
    """Size and SHA-256 of the parts that ranks have uploaded. `store`: one that all of them see. From any thread."""

    def __init__(self, store: dist.Store, *, rank: int, ranks: int) -> None:
        self._store = store
        self.rank = rank
        self.ranks = ranks

    def tell(self, folder: str, part: CheckpointFile) -> None:
        """This rank's part of the checkpoint in `folder` is there."""
        self._store.set(_key(folder, self.rank), part.to_json())

    def wait(self, folder: str, *, given_up: Callable[[], bool]) -> list[CheckpointFile]:
        """The parts of all ranks, in their order, once all are there. Raises PartsMissing when `given_up` says so."""
        keys = [_key(folder, rank) for rank in range(self.ranks)]
        while not self._store.check(keys):
            if given_up():
                raise PartsMissing(folder)
            time.sleep(_LOOK_SECONDS)
        parts = [CheckpointFile.model_validate_json(self._store.get(key)) for key in keys]
        for key in keys:
            self._store.delete_key(key)
        return parts


def open_part_records() -> PartRecords:
    """Those of this world; in a process without a world those of its own part."""
    if not dist.is_initialized():
        return PartRecords(dist.HashStore(), rank=0, ranks=1)
    store = dist.PrefixStore(_PREFIX, _get_default_store())
    return PartRecords(store, rank=dist.get_rank(), ranks=dist.get_world_size())


def _key(folder: str, rank: int) -> str:
    return f"{folder}{rank}"

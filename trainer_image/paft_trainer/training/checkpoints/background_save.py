"""One checkpoint on one rank, on its way to the object store while training goes on."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

import torch

from paft_trainer.keeping.saved_checkpoints import SavedCheckpoint, part_file
from paft_trainer.storage import ObjectStore
from paft_trainer.training.adapter_state import AdapterShare
from paft_trainer.training.checkpoints.checkpoint import complete_checkpoint
from paft_trainer.training.checkpoints.part_records import PartRecords
from paft_trainer.training.checkpoints.parts import write_part

_PEERS_SECONDS = 5.0
"""For parts of other ranks that may be gone, once this rank's own is there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """What one rank saves, copied: training may change what it was copied from.

    `share` takes 12 bytes of CPU memory for each trained parameter, divided by the number of ranks, until it is
    uploaded; 4 before the first step. `random_state`: of this rank's generators. `trainer_state`: what
    `encode_trainer_state` gave; needed on rank 0 only. `eval_loss`: None where this step was not evaluated.
    """

    step: int
    share: AdapterShare
    random_state: dict[str, torch.Tensor]
    trainer_state: bytes
    eval_loss: float | None


class BackgroundSave:
    """Uploads this rank's part in a thread; on rank 0 it then waits for the others' and writes the manifest.

    `folder`: of the checkpoint. `on_complete`: called from the thread on rank 0. Does nothing collective.
    """

    def __init__(
        self,
        store: ObjectStore,
        folder: str,
        snapshot: Snapshot,
        records: PartRecords,
        *,
        on_complete: Callable[[SavedCheckpoint], None],
    ) -> None:
        self._store = store
        self._folder = folder
        self._records = records
        self._on_complete = on_complete
        self._gives_up_at: float | None = None
        executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="paft-save")
        self._part: Future[None] = executor.submit(self._upload, snapshot.share, snapshot.random_state)
        self._whole: Future[None] = executor.submit(
            self._complete, snapshot.step, snapshot.trainer_state, snapshot.eval_loss
        )
        executor.shutdown(wait=False)

    def raise_failure(self) -> None:
        """Raise what went wrong so far, and else go on at once."""
        for future in (self._part, self._whole):
            if future.done():
                future.result()

    def wait_for_part(self) -> None:
        """Until this rank's part is uploaded. Raises errors of the store."""
        self._part.result()

    def wait(self) -> None:
        """The same, on rank 0 until the checkpoint is complete: without end where another rank is gone."""
        self._whole.result()

    def wait_a_last_time(self, seconds: float) -> None:
        """For so long at most, and whatever comes of it: training has failed, and other ranks may be gone."""
        end = time.monotonic() + seconds
        wait([self._part], timeout=seconds)
        self._gives_up_at = min(end, time.monotonic() + _PEERS_SECONDS)
        wait([self._whole], timeout=max(0.0, end - time.monotonic()))

    def _upload(self, share: AdapterShare, random_state: dict[str, torch.Tensor]) -> None:
        name = part_file(self._records.rank, self._records.ranks)
        self._records.tell(self._folder, write_part(self._store, self._folder + name, share, random_state))

    def _complete(self, step: int, trainer_state: bytes, eval_loss: float | None) -> None:
        self._part.result()
        if self._records.rank != 0:
            return
        parts = self._records.wait(self._folder, given_up=self._is_given_up)
        saved = complete_checkpoint(
            self._store, self._folder, step=step, state=trainer_state, parts=parts, eval_loss=eval_loss
        )
        self._on_complete(saved)

    def _is_given_up(self) -> bool:
        return self._gives_up_at is not None and time.monotonic() > self._gives_up_at

"""What training calls to have its checkpoints saved: when one is due, one at a time, and the last one to its end.

Saving costs training a copy of this rank's share into CPU memory; the rest is done in a thread. Everything collective
is here and in the training thread, since collectives of two threads could meet in another order on each rank.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Self

import torch
import torch.distributed as dist

from paft_api.layout import checkpoint_folder
from paft_api.report import Activity
from paft_trainer.keeping.own_attempts import apply_retention
from paft_trainer.keeping.saved_checkpoints import SavedCheckpoint
from paft_trainer.training.arm_session import ArmSession
from paft_trainer.training.checkpoints.background_save import BackgroundSave, Snapshot
from paft_trainer.training.checkpoints.part_records import open_part_records

LAST_SECONDS = 30.0
"""For a save that is on its way when training fails; less where the attempt is given less than twice that to stop."""


class CheckpointSaver:
    """Every rank has one and calls it in the same order. A context around training: its end waits for the last save.

    An upload that fails raises its error in the next call here, of the rank that it failed on; so do errors of
    removing what `training.keep` lets go. Where training fails, the save that is on its way is given a short time.
    `device`: for collectives. `clock`: seconds, monotonic.
    """

    def __init__(
        self, session: ArmSession, device: torch.device, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._session = session
        self._device = device
        self._clock = clock
        self._records = open_part_records()
        self._running: BackgroundSave | None = None
        self._begun_step = 0
        self._saved_step = 0
        """The newest complete one of this attempt, as all ranks know."""
        self._completed_step = 0
        """The same, as rank 0 knows, from its thread."""
        self._begun_at: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self._finish()
        elif self._running is not None:
            self._wait_a_last_time(self._running)

    def save(self, snapshot_of: Callable[[], Snapshot]) -> None:
        """Begin a save, after the one before is complete. Collective. Raises errors of the store."""
        began = time.monotonic()
        self._end_running()
        snapshot = snapshot_of()
        self._begun_step, self._begun_at = snapshot.step, self._clock()
        self._session.save_stall.note(time.monotonic() - began)
        self._running = BackgroundSave(
            self._session.store,
            checkpoint_folder(self._session.attempt_folder, snapshot.step),
            snapshot,
            self._records,
            on_complete=partial(self._on_complete, began=began),
        )

    # What ranks tell each other at the end of each step, besides what else they do ------------------------------------

    def tell(self) -> list[int]:
        """Numbers to be summed over all ranks: whether a save is due by `training.saveSeconds`, and the newest complete
        one; only rank 0 decides and knows. Raises what went wrong with a save meanwhile."""
        if self._running is not None:
            self._running.raise_failure()
        if self._records.rank != 0:
            return [0, 0]
        return [int(self._is_due()), self._completed_step]

    def hear(self, numbers: Sequence[int]) -> bool:
        """Take in the sums of what all ranks told; whether a save is due."""
        due, saved_step = numbers
        if saved_step != self._saved_step:
            self._saved_step = saved_step
            self._session.reporter.update(checkpoint_step=saved_step)
        return due > 0

    def _is_due(self) -> bool:
        seconds = self._session.arm.training.save_seconds
        if self._begun_at is None:
            self._begun_at = self._clock()
        return seconds is not None and self._clock() - self._begun_at >= seconds

    # The end of a save -----------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        session, began = self._session, time.monotonic()
        session.reporter.update(activity=Activity.SAVING)
        with session.heartbeat.resting(session.run_spec.storage.retry_window):
            self._end_running()
        session.save_stall.final_seconds = time.monotonic() - began

    def _wait_a_last_time(self, running: BackgroundSave) -> None:
        """Where training has failed. What comes of it is rank 0's alone to tell."""
        session = self._session
        seconds = min(LAST_SECONDS, session.run_spec.stop_grace_seconds / 2)
        with session.heartbeat.resting(seconds):
            running.wait_a_last_time(seconds)
        if self._completed_step > self._saved_step:
            session.reporter.update(checkpoint_step=self._completed_step)

    def _end_running(self) -> None:
        """Wait for the save that is on its way. Collective where there is one, as all ranks know."""
        if self._running is None or self._begun_step == self._saved_step:
            return
        self._running.wait_for_part()
        if dist.is_initialized():
            # A rank that is gone is noticed here; then rank 0 waits for nobody.
            dist.barrier()
        self._running.wait()
        self.hear(self._session.stop_signal.agree(self.tell(), self._device)[1])

    def _on_complete(self, saved: SavedCheckpoint, *, began: float) -> None:
        """On rank 0, in the thread."""
        session = self._session
        apply_retention(session.store, session.attempts_folder, session.run_spec.identity, session.arm.training.keep)
        self._completed_step = saved.step
        print(
            f"checkpoint of step {saved.step}: complete after {time.monotonic() - began:.2f} s, "
            f"for which training stood still for {session.save_stall.last_seconds:.3f} s",
            flush=True,
        )

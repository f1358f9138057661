"""What a merge reports of itself: tensors done, and the time left by the bytes of the base."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from paft_api.report import Activity
from paft_trainer.merge.shards import SourceTensor

if TYPE_CHECKING:
    from paft_trainer.reporting import Reporter


class MergeProgress:
    """`tensors`: all of the base, in whatever order they come."""

    def __init__(self, reporter: "Reporter", tensors: Sequence[SourceTensor]) -> None:
        self._reporter = reporter
        self._tensors = len(tensors)
        self._bytes = sum(tensor.entry.size for tensor in tensors)
        self._done_bytes = 0
        self._done_tensors = 0
        self._started = time.monotonic()
        self._report()

    def advance(self, size: int, *, ends_tensor: bool) -> None:
        """So many more bytes are done."""
        self._done_bytes += size
        self._done_tensors += ends_tensor
        self._report()

    def _report(self) -> None:
        seconds = time.monotonic() - self._started
        left = seconds / self._done_bytes * (self._bytes - self._done_bytes) if self._done_bytes else None
        self._reporter.update(
            activity=Activity.MERGING, step=self._done_tensors, total_steps=self._tensors, eta_seconds=left
        )

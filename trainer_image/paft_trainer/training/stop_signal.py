"""SIGTERM as a question that all ranks answer together: stop after this step?"""

import signal
from collections.abc import Sequence
from types import FrameType

import torch
import torch.distributed as dist


class StopSignal:
    """Notes SIGTERM and lets ranks agree, since the signal reaches them at different steps."""

    def __init__(self) -> None:
        self._requested = False

    def install(self) -> None:
        """Take over SIGTERM in this process."""
        signal.signal(signal.SIGTERM, self._note)

    def end(self) -> bool:
        """Give SIGTERM its default effect back, now that nothing is left to save; whether it had arrived."""
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        return self._requested

    def request(self) -> None:
        """Ask to stop, as SIGTERM does."""
        self._requested = True

    def agree(self, numbers: Sequence[int], device: torch.device) -> tuple[bool, list[int]]:
        """Whether any rank was asked to stop, and the sum of each of `numbers` over ranks, in one collective."""
        if not dist.is_initialized():
            return self._requested, list(numbers)
        values = torch.tensor([int(self._requested), *numbers], dtype=torch.int64, device=device)
        dist.all_reduce(values)
        requested, *sums = values.tolist()
        return requested > 0, sums

    def _note(self, signal_number: int, frame: FrameType | None) -> None:
        self.request()

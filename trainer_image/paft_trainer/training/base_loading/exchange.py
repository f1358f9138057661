"""Passes the bytes that one rank has read to the others that hold them. Collective."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
import torch.distributed as dist

from paft_api.causes import Cause
from paft_trainer.errors import StageError, StageFailed
from paft_trainer.training.base_loading.partition_plan import Slice


class Exchange:
    """The slices of one round, in one buffer for what goes out and one for what comes in.

    `device`: one that the process group passes bytes between, the CPU for gloo and the rank's GPU for NCCL.
    """

    def __init__(self, slices: Sequence[Slice], rank: int, world_size: int, device: torch.device) -> None:
        self._device = device
        self._outgoing = sorted((one for one in slices if one.reader == rank), key=lambda one: one.holder)
        self._incoming = sorted((one for one in slices if one.holder == rank), key=lambda one: one.reader)
        self._sent_sizes, self._got_sizes = [0] * world_size, [0] * world_size
        self._places: dict[str, list[tuple[Slice, int]]] = {}
        position = 0
        for one in self._outgoing:
            self._places.setdefault(one.tensor, []).append((one, position))
            self._sent_sizes[one.holder] += one.size
            position += one.size
        for one in self._incoming:
            self._got_sizes[one.reader] += one.size
        self._buffer = torch.empty(position, dtype=torch.uint8)

    def put(self, tensor: str, start: int, content: memoryview) -> None:
        """Keep what others need of bytes that this rank has read, from byte `start` of a tensor on."""
        source, target = np.frombuffer(content, dtype=np.uint8), self._buffer.numpy()
        for one, position in self._places.get(tensor, ()):
            first, after = max(start, one.start), min(start + len(source), one.stop)
            if first < after:
                place = position + first - one.start
                target[place : place + after - first] = source[first - start : after - start]

    def swap(self) -> Iterator[tuple[Slice, memoryview]]:
        """What the others have read for this rank. Collective."""
        received = torch.empty(sum(self._got_sizes), dtype=torch.uint8, device=self._device)
        dist.all_to_all_single(received, self._buffer.to(self._device), self._got_sizes, self._sent_sizes)
        content = memoryview(received.cpu().numpy())
        position = 0
        for one in self._incoming:
            yield one, content[position : position + one.size]
            position += one.size


@contextmanager
def failing_together() -> Iterator[None]:
    """Raise on every rank what goes wrong in any one's block, so that none waits for one that has ended. Collective."""
    try:
        yield
    except StageError as error:
        _tell(error)
        raise
    for failure in _tell(None):
        if failure is not None:
            cause, message, remedy = failure
            raise StageFailed(cause, message, remedy=remedy)


def _tell(error: StageError | None) -> list[tuple[Cause, str, str] | None]:
    told: list[tuple[Cause, str, str] | None] = [None] * dist.get_world_size()
    dist.all_gather_object(told, None if error is None else (error.cause, error.message, error.remedy))
    return told

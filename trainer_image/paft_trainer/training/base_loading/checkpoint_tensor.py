"""What loading has to know of a tensor of the checkpoint."""

from collections.abc import Sequence
from typing import Protocol


class CheckpointTensor(Protocol):
    """A tensor as its file's header and the base's index describe it; see `paft_trainer.base.piece_index`."""

    @property
    def name(self) -> str:
        """Name in the checkpoint."""

    @property
    def dtype(self) -> str:
        """Safetensors' word."""

    @property
    def shape(self) -> Sequence[int]:
        """Dimensions."""

    @property
    def hashes(self) -> object:
        """Of its pieces; equal for equal bytes."""

"""The order of rows: a function of seed and epoch alone, the same for any number of processes."""

from collections.abc import Iterator
from itertools import islice

import torch
from torch.utils.data import Sampler


class EpochSampler(Sampler[int]):
    """Shuffled row numbers of one epoch, cut to whole global batches.

    `rows`: rows in the data set. `global_batch_size`: rows per optimizer step; the rest of each epoch is left out,
    another rest each time. `seed`: training.seed.
    """

    def __init__(self, *, rows: int, global_batch_size: int, seed: int) -> None:
        self._rows = rows
        self._used_rows = rows // global_batch_size * global_batch_size
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration gives."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._used_rows

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + self._epoch)
        order = torch.randperm(self._rows, generator=generator)
        return iter(order[: self._used_rows].tolist())


def visited_rows(*, rows: int, global_batch_size: int, seed: int, steps: int) -> list[int]:
    """Numbers of the rows that `steps` optimizer steps come to see, in ascending order; all from one epoch on."""
    sampler = EpochSampler(rows=rows, global_batch_size=global_batch_size, seed=seed)
    if steps * global_batch_size >= len(sampler):
        return list(range(rows))
    return sorted(islice(sampler, steps * global_batch_size))

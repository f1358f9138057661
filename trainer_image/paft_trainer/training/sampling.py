"""The order of rows: a function of seed and epoch alone, the same for any number of processes."""

from collections.abc import Iterator
from itertools import islice

import torch
from torch.utils.data import Sampler

from paft_trainer.data.mixing import Mixture


class EpochSampler(Sampler[int]):
    """Shuffled row numbers of one epoch, cut to whole global batches.

    `rows`: rows in the data set, or also how often they come. `global_batch_size`: rows per optimizer step; the rest of
    each epoch is left out, another rest each time. `seed`: training.seed.
    """

    def __init__(self, *, rows: int | Mixture, global_batch_size: int, seed: int) -> None:
        self._mixture = Mixture.plain(rows) if isinstance(rows, int) else rows
        self._used_rows = self._mixture.epoch_rows // global_batch_size * global_batch_size
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration gives."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._used_rows

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + self._epoch)
        order = self._mixture.shuffled(generator)
        return iter(order[: self._used_rows].tolist())


def visited_rows(*, rows: int | Mixture, global_batch_size: int, seed: int, steps: int) -> list[int]:
    """Numbers of the rows that `steps` optimizer steps come to see, in ascending order; where every row comes in every
    epoch, all from one epoch on."""
    mixture = Mixture.plain(rows) if isinstance(rows, int) else rows
    sampler = EpochSampler(rows=mixture, global_batch_size=global_batch_size, seed=seed)
    left = steps * global_batch_size
    if left >= len(sampler) and all(part.copies for part in mixture.parts):
        return list(range(mixture.rows))
    seen: set[int] = set()
    epoch = 0
    while left > 0 and len(seen) < mixture.rows:
        sampler.set_epoch(epoch)
        seen.update(islice(sampler, left))
        left -= len(sampler)
        epoch += 1
    return sorted(seen)

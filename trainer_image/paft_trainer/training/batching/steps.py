"""Optimizer steps as a data loader gives them: all forward passes of one step on this process."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from datasets import Dataset
from torch.utils.data import BatchSampler, DataLoader
from torch.utils.data import Dataset as TorchDataset

from paft_trainer.data.chat import Encoded
from paft_trainer.data.encoded_rows import ReadAheadRows
from paft_trainer.data.mixing import Mixture
from paft_trainer.training.batching.batching import Batching
from paft_trainer.training.batching.examples import ExampleForm
from paft_trainer.training.batching.passes import Passes
from paft_trainer.training.sampling import EpochSampler


class OptimizerStep(NamedTuple):
    """What one process computes between two updates of the weights.

    `passes`: inputs of its forward passes, as many as every other process has. `learnt_tokens`: tokens over which an
    SFT loss is a mean, of the whole step on all processes.
    """

    passes: list[dict[str, Any]]
    learnt_tokens: int


class OptimizerSteps(TorchDataset[OptimizerStep]):
    """Steps by the numbers of their rows.

    `rows` may be replaced by the same rows with more fields. `following`: numbers of the step after the next one that
    is asked for, as far as they are known; they are read ahead.
    """

    def __init__(
        self,
        rows: Sequence[Encoded],
        form: ExampleForm,
        batching: Batching,
        *,
        sizes: npt.NDArray[np.int32] | None = None,
        mixture: Mixture | None = None,
    ) -> None:
        """`sizes`: of each row, int32, shape (rows, 2), where they are known. `mixture`: default is each row once."""
        self.rows = rows
        self.mixture = mixture or Mixture.plain(len(rows))
        self.following: tuple[int, ...] = ()
        self._form = form
        self._batching = batching
        self._sizes = np.array([form.size(row) for row in rows], np.int32) if sizes is None else sizes
        self._process, self._processes = 0, 1

    def first_row(self) -> Dataset:
        """What TRL's trainers look at to know what they train on."""
        return Dataset.from_list([self.rows[0]])

    def share(self, process: int, processes: int) -> None:
        """Give only what this one of several processes computes."""
        self._process, self._processes = process, processes

    def __getitem__(self, numbers: tuple[int, ...]) -> OptimizerStep:
        plan = self._plan(numbers)
        self._begin([numbers[position] for one in plan for position in one])
        passes = [self._inputs([numbers[position] for position in one]) for one in plan]
        if self.following:
            following, self.following = self.following, ()
            self._begin([following[position] for one in self._plan(following) for position in one])
        return OptimizerStep(passes=passes, learnt_tokens=int(self._sizes[list(numbers), 1].sum()))

    def _plan(self, numbers: tuple[int, ...]) -> Passes:
        lengths = self._sizes[list(numbers), 0].tolist()
        return self._batching.plan(lengths, processes=self._processes)[self._process]

    def _begin(self, numbers: Sequence[int]) -> None:
        if isinstance(self.rows, ReadAheadRows):
            self.rows.begin(numbers)

    def _inputs(self, numbers: Sequence[int]) -> dict[str, Any]:
        rows = [self.rows[number] for number in numbers]
        return self._batching.lay_out(self._form.sequences(rows)) | self._form.extras(rows)


class _StepSampler(BatchSampler):
    """The rows of one step as the only item of a batch."""

    def __init__(self, steps: OptimizerSteps, sampler: EpochSampler, global_batch_size: int) -> None:
        super().__init__(sampler, global_batch_size, drop_last=True)
        self._steps = steps

    def __iter__(self) -> Iterator[Any]:
        batches = (tuple(numbers) for numbers in super().__iter__())
        current = next(batches, None)
        while current is not None:
            following = next(batches, None)
            self._steps.following = following or ()
            yield [current]
            current = following


def step_loader(steps: OptimizerSteps, sampler: EpochSampler, *, global_batch_size: int) -> DataLoader[OptimizerStep]:
    """A loader whose batches are OptimizerSteps, in the sampler's order."""
    return DataLoader(steps, batch_sampler=_StepSampler(steps, sampler, global_batch_size), collate_fn=_only_item)


def _only_item(items: list[OptimizerStep]) -> OptimizerStep:
    (step,) = items
    return step

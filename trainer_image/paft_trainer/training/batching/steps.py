"""Optimizer steps as a data loader gives them: all forward passes of one step on this process."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from datasets import Dataset
from torch.utils.data import BatchSampler, DataLoader
from torch.utils.data import Dataset as TorchDataset

from paft_trainer.data.chat import Encoded
from paft_trainer.training.batching.batching import Batching
from paft_trainer.training.batching.examples import ExampleForm
from paft_trainer.training.sampling import EpochSampler


class OptimizerStep(NamedTuple):
    """What one process computes between two updates of the weights.

    `passes`: inputs of its forward passes, as many as every other process has. `learnt_tokens`: tokens over which an
    SFT loss is a mean, of the whole step on all processes.
    """

    passes: list[dict[str, Any]]
    learnt_tokens: int


class OptimizerSteps(TorchDataset[OptimizerStep]):
    """Steps by the numbers of their rows. `rows` may be replaced by the same rows with more columns."""

    def __init__(self, encoded: Sequence[Encoded], form: ExampleForm, batching: Batching) -> None:
        self.rows = Dataset.from_list(list(encoded))
        self._form = form
        self._batching = batching
        self._tokens = [form.tokens(row) for row in encoded]
        self._learnt_tokens = [form.learnt_tokens(row) for row in encoded]
        self._process, self._processes = 0, 1

    def share(self, process: int, processes: int) -> None:
        """Give only what this one of several processes computes."""
        self._process, self._processes = process, processes

    def __getitem__(self, numbers: tuple[int, ...]) -> OptimizerStep:
        plan = self._batching.plan([self._tokens[number] for number in numbers], processes=self._processes)
        return OptimizerStep(
            passes=[self._inputs([numbers[position] for position in one]) for one in plan[self._process]],
            learnt_tokens=sum(self._learnt_tokens[number] for number in numbers),
        )

    def _inputs(self, numbers: Sequence[int]) -> dict[str, Any]:
        rows = [self.rows[number] for number in numbers]
        return self._batching.lay_out(self._form.sequences(rows)) | self._form.extras(rows)


class _StepSampler(BatchSampler):
    """The rows of one step as the only item of a batch."""

    def __init__(self, sampler: EpochSampler, global_batch_size: int) -> None:
        super().__init__(sampler, global_batch_size, drop_last=True)

    def __iter__(self) -> Iterator[Any]:
        for numbers in super().__iter__():
            yield [tuple(numbers)]


def step_loader(steps: OptimizerSteps, sampler: EpochSampler, *, global_batch_size: int) -> DataLoader[OptimizerStep]:
    """A loader whose batches are OptimizerSteps, in the sampler's order."""
    return DataLoader(steps, batch_sampler=_StepSampler(sampler, global_batch_size), collate_fn=_only_item)


def _only_item(items: list[OptimizerStep]) -> OptimizerStep:
    (step,) = items
    return step

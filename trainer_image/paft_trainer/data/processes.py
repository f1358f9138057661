"""Work that several processes share: each does a part, and all get the results of all."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from paft_trainer.errors import StageError, StageFailed

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Processes:
    """This process among all. `gather`: what each process gives, in their order, on every process. Collective."""

    number: int
    count: int
    gather: Callable[[Any], list[Any]]

    def share(self, tasks: Sequence[Task], work: Callable[[Task], Result]) -> list[Result]:
        """The result of each task, in their order; process p does every task p, p + count, …

        Collective. Where tasks fail with a StageError, all processes raise that of the first of these tasks.
        """
        mine: list[tuple[int, Result | None, StageError | None]] = []
        for position in range(self.number, len(tasks), self.count):
            try:
                mine.append((position, work(tasks[position]), None))
            except StageError as error:
                mine.append((position, None, error))
                break
        if self.count == 1:
            gathered = mine
        else:
            told = [(position, result, error and _as_told(error)) for position, result, error in mine]
            gathered = [
                (position, result, error and StageFailed(error[0], error[1], remedy=error[2]))
                for one in self.gather(told)
                for position, result, error in one
            ]
        gathered.sort(key=lambda entry: entry[0])
        for _, _, failure in gathered:
            if failure is not None:
                raise failure
        return [result for _, result, _ in gathered]  # type: ignore[misc]


def _as_told(error: StageError) -> tuple[Any, str, str]:
    return error.cause, error.message, error.remedy


ALONE = Processes(0, 1, lambda value: [value])
"""One process."""

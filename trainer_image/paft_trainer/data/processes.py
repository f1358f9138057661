"""Work that several processes share: each does a part, and all get the results of all."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self, TypeVar

from paft_api.causes import Cause
from paft_trainer.errors import StageError, StageFailed

Task = TypeVar("Task")
Result = TypeVar("Result")


class ToldError(NamedTuple):
    """A StageError as one process tells it to another: errors themselves cannot be sent."""

    cause: Cause
    message: str
    remedy: str

    @classmethod
    def of(cls, error: StageError) -> Self:
        """What is told."""
        return cls(error.cause, error.message, error.remedy)

    def as_error(self) -> StageError:
        """The error that was told."""
        return StageFailed(self.cause, self.message, remedy=self.remedy)


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
        mine: list[tuple[int, Result | None, ToldError | None]] = []
        for position in range(self.number, len(tasks), self.count):
            try:
                mine.append((position, work(tasks[position]), None))
            except StageError as error:
                if self.count == 1:
                    raise
                mine.append((position, None, ToldError.of(error)))
                break
        gathered = sorted((entry for one in self.gather(mine) for entry in one), key=lambda entry: entry[0])
        for _, _, told in gathered:
            if told is not None:
                raise told.as_error()
        return [result for _, result, _ in gathered]


ALONE = Processes(0, 1, lambda value: [value])
"""One process."""

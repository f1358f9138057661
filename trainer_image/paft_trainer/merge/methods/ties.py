"""TIES: trim, elect signs, merge what agrees (arXiv 2306.01708)."""

from dataclasses import dataclass

from paft_api.spec.merge_options import MergeOptions
from paft_trainer.merge.arithmetic import Arithmetic, Delta
from paft_trainer.merge.electing import election
from paft_trainer.merge.method import TensorArms
from paft_trainer.merge.questions import Answers, Question
from paft_trainer.merge.rows import Rows
from paft_trainer.merge.trimming import bounds, trim


@dataclass(frozen=True)
class Ties:
    """Trimming keeps the largest entries of each delta, the election follows."""

    options: MergeOptions

    def questions(self, tensor: TensorArms) -> list[Question]:
        """From which magnitude on entries stay."""
        return [low for low, _ in bounds(self.options, tensor)]

    def merge(
        self,
        tensor: TensorArms,
        deltas: tuple[Delta, Delta],
        rows: Rows,
        answers: Answers,
        arithmetic: Arithmetic,
        base: Delta | None,
    ) -> Delta:
        """See Method."""
        first, second = (
            trim(delta, ends[:1], answers, arithmetic)
            for delta, ends in zip(deltas, bounds(self.options, tensor), strict=True)
        )
        return arithmetic.elect(first, second, election(self.options, tensor))

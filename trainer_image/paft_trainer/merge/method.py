"""What a merge method is: it may ask about whole tensors, then it merges them part by part."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from paft_trainer.adapters import Factors
from paft_trainer.merge.arithmetic import Arithmetic, Delta
from paft_trainer.merge.lengths import Lengths
from paft_trainer.merge.questions import Answers, Question
from paft_trainer.merge.rows import Rows

ARMS = ("sft", "preference")


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorArms:
    """Both deltas of one tensor [rows, columns], and how much of them is wanted; pairs are by arm.

    `factors`: None for an arm that does not adapt the module. `weights`: those of the module. `balance`: factors that
    make the deltas equally long, (1, 1) where that is not asked for.
    """

    name: str
    rows: Rows
    factors: tuple[Factors | None, Factors | None]
    weights: tuple[float, float]
    balance: tuple[float, float]
    lengths: Lengths

    @property
    def scales(self) -> tuple[float, float]:
        """Weights of the deltas as they are."""
        return self.weights[0] * self.balance[0], self.weights[1] * self.balance[1]


class Method(Protocol):
    """One method with its options. Pure: all it returns follows from its arguments."""

    def questions(self, tensor: TensorArms) -> Sequence[Question]:
        """What it needs to know of the whole tensor."""

    def merge(
        self,
        tensor: TensorArms,
        deltas: tuple[Delta, Delta],
        rows: Rows,
        answers: Answers,
        arithmetic: Arithmetic,
        base: Delta | None,
    ) -> Delta:
        """The merged delta of some rows. `deltas`: of these rows. `base`: these rows in fp32 where this merge or one
        beside it asked for WholeWeights."""

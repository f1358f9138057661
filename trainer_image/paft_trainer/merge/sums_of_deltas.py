"""What methods have in common of which each merged delta is f₁τ₁ + f₂τ₂, with factors that the whole tensor tells."""

from abc import ABC, abstractmethod

from paft_trainer.merge.arithmetic import Arithmetic, Delta
from paft_trainer.merge.method import TensorArms
from paft_trainer.merge.questions import Answers, Question
from paft_trainer.merge.rows import Rows


class SumOfDeltas(ABC):
    """A `Method` of which only the factors are left to be said."""

    @abstractmethod
    def factors(self, tensor: TensorArms) -> tuple[float, float]:
        """What each delta is multiplied with."""

    def questions(self, tensor: TensorArms) -> list[Question]:
        """None."""
        return []

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
        return arithmetic.weighted_sum(*deltas, self.factors(tensor))

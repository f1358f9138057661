"""Weighted sum of deltas (arXiv 2212.04089): Σ wᵢ·τᵢ."""

from dataclasses import dataclass

from paft_api.spec.merge_options import MergeOptions
from paft_trainer.merge.arithmetic import Arithmetic, Delta
from paft_trainer.merge.method import TensorArms
from paft_trainer.merge.questions import Answers, Question
from paft_trainer.merge.rows import Rows


@dataclass(frozen=True)
class TaskArithmetic:
    """Weights act as they are."""

    options: MergeOptions

    def factors(self, tensor: TensorArms) -> tuple[float, float]:
        """What each delta is multiplied with."""
        return tensor.scales[0] * self.options.lambda_, tensor.scales[1] * self.options.lambda_

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

"""Controls: one arm's delta alone, with its weight."""

from dataclasses import dataclass

from paft_api.spec.merge_options import MergeOptions
from paft_trainer.merge.arithmetic import Arithmetic, Delta
from paft_trainer.merge.method import TensorArms
from paft_trainer.merge.questions import Answers, Question
from paft_trainer.merge.rows import Rows


@dataclass(frozen=True)
class OneArm:
    """`arm`: 0 for SFT, 1 for preference."""

    options: MergeOptions
    arm: int

    def factors(self, tensor: TensorArms) -> tuple[float, float]:
        """What each delta is multiplied with."""
        factor = tensor.weights[self.arm] * self.options.lambda_
        return (factor, 0.0) if self.arm == 0 else (0.0, factor)

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

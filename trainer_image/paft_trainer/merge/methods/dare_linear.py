"""DARE with a weighted sum: drop at random, rescale, add up (arXiv 2311.03099, section 3.2)."""

from dataclasses import dataclass

from paft_api.spec.merge_options import MergeOptions
from paft_trainer.merge.arithmetic import Arithmetic, Delta
from paft_trainer.merge.dropping import Dropping
from paft_trainer.merge.method import TensorArms
from paft_trainer.merge.questions import Answers, Question
from paft_trainer.merge.rows import Rows


@dataclass(frozen=True)
class DareLinear:
    """As in mergekit and PEFT the weights are not divided by their sum."""

    options: MergeOptions

    def questions(self, tensor: TensorArms) -> list[Question]:
        """Sums of magnitudes, to rescale by them."""
        return [*Dropping.of(self.options).questions(tensor)]

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
        dropping = Dropping.of(self.options)
        first, second = (dropping.drop(tensor, arm, delta, rows, arithmetic) for arm, delta in enumerate(deltas))
        rescale = dropping.factors(tensor, answers)
        one, other = (
            scale * factor * self.options.lambda_ for scale, factor in zip(tensor.scales, rescale, strict=True)
        )
        return arithmetic.weighted_sum(first, second, (one, other))

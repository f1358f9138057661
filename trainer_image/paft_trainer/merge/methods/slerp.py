"""Spherical linear interpolation between the two deltas (Shoemake 1985, doi 10.1145/325334.325242).

From τ₁ to τ₂ by t = w₂ / (w₁ + w₂) along the arc between them: sin((1−t)Ω)/sin Ω · τ₁ + sin(tΩ)/sin Ω · τ₂, where Ω is
the angle between the deltas of a whole tensor. As in mergekit their lengths stay in, and what is nearly parallel or
opposite, or of which one is 0, is interpolated linearly.
"""

import math
from dataclasses import dataclass

from paft_api.spec.merge_options import MergeOptions
from paft_trainer.merge.arithmetic import Arithmetic, Delta
from paft_trainer.merge.method import TensorArms
from paft_trainer.merge.questions import Answers, Question, WholeWeights
from paft_trainer.merge.rows import Rows

LINEAR_FROM = 0.9995
"""|cos Ω| from which the arc is taken for a line, as in mergekit."""


def arc_factors(t: float, cosine: float | None) -> tuple[float, float]:
    """Factors of the two ends at `t` from 0 to 1. `cosine`: None where one end is 0."""
    if cosine is None or abs(cosine) > LINEAR_FROM:
        return 1.0 - t, t
    angle = math.acos(cosine)
    return math.sin((1.0 - t) * angle) / math.sin(angle), math.sin(t * angle) / math.sin(angle)


@dataclass(frozen=True)
class Slerp:
    """Between the deltas, or with `wholeWeights` between base + delta of either arm."""

    options: MergeOptions

    @property
    def takes_whole_weights(self) -> bool:
        """Whether the arc lies between whole weights."""
        return self.options.resolved()["wholeWeights"] is True

    def questions(self, tensor: TensorArms) -> list[Question]:
        """The angle of whole weights, which the factors do not tell."""
        return [WholeWeights(factors=tensor.balance)] if self.takes_whole_weights else []

    def factors(self, tensor: TensorArms, answers: Answers) -> tuple[float, float]:
        """What each end is multiplied with."""
        place = tensor.weights[1] / sum(tensor.weights)
        if not self.takes_whole_weights:
            return arc_factors(place, tensor.lengths.cosine)
        first, second, product = answers[WholeWeights(factors=tensor.balance)]
        lengths = math.sqrt(first) * math.sqrt(second)
        return arc_factors(place, max(-1.0, min(1.0, product / lengths)) if lengths > 0 else None)

    def delta_factors(self, tensor: TensorArms, answers: Answers) -> tuple[float, float]:
        """What each delta is multiplied with, balance and `lambda` included."""
        one, other = self.factors(tensor, answers)
        return one * tensor.balance[0] * self.options.lambda_, other * tensor.balance[1] * self.options.lambda_

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
        one, other = self.factors(tensor, answers)
        merged = arithmetic.weighted_sum(*deltas, self.delta_factors(tensor, answers))
        if base is None or not self.takes_whole_weights or one + other == 1:
            return merged
        return arithmetic.weighted_sum(merged, base, (1.0, (one + other - 1.0) * self.options.lambda_))

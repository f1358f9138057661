"""Model breadcrumbs: the largest and the smallest entries go, the rest is added up (arXiv 2312.06795)."""

from dataclasses import dataclass

from paft_api.spec.merge_options import MergeOptions
from paft_trainer.merge.arithmetic import Arithmetic, Delta
from paft_trainer.merge.method import TensorArms
from paft_trainer.merge.questions import Answers, Question, Threshold
from paft_trainer.merge.rows import Rows
from paft_trainer.merge.trimming import bounds, trim


@dataclass(frozen=True)
class Breadcrumbs:
    """`gamma` of the largest entries goes, `density` of the entries after them stays, as in mergekit.

    The paper counts both from the other end: its β is 1 − density − gamma, its γ is 1 − gamma.
    """

    options: MergeOptions

    def questions(self, tensor: TensorArms) -> list[Question]:
        """Between which magnitudes entries stay."""
        return [end for ends in self._bounds(tensor) for end in ends]

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
            trim(delta, ends, answers, arithmetic) for delta, ends in zip(deltas, self._bounds(tensor), strict=True)
        )
        factor = self.options.lambda_
        return arithmetic.weighted_sum(first, second, (tensor.scales[0] * factor, tensor.scales[1] * factor))

    def _bounds(self, tensor: TensorArms) -> tuple[tuple[Threshold, Threshold], ...]:
        return bounds(self.options, tensor, removed=float(str(self.options.resolved()["gamma"])))

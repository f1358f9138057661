"""SCE: select, calculate, erase (FuseChat, arXiv 2408.07990, section 3.3).

The entries in which the arms differ most are selected, by their variance; each arm weighs what its selected entries'
squares amount to; entries whose sign is in the minority are erased, and the rest is averaged with these weights, as in
the authors' implementation.
"""

from dataclasses import dataclass

from paft_api.spec.merge_options import MergeOptions
from paft_trainer.merge.arithmetic import Arithmetic, Delta, Election
from paft_trainer.merge.method import TensorArms
from paft_trainer.merge.questions import Answers, Question, SelectedSquares, Stream, Threshold
from paft_trainer.merge.rows import Rows


@dataclass(frozen=True)
class Sce:
    """Of two arms the variance is (τ₁ − τ₂)² / 4, so that it is ordered as their distance is."""

    options: MergeOptions

    def questions(self, tensor: TensorArms) -> list[Question]:
        """From which distance on entries are selected, and what their squares add up to."""
        return [self._selection, SelectedSquares(selection=self._selection)]

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
        (low,) = answers[self._selection]
        first, second = deltas if low == 0 else arithmetic.keep_far(*deltas, low=low)
        one, other = self._shares(tensor, answers[SelectedSquares(selection=self._selection)])
        factor = self.options.lambda_
        rule = Election(
            votes=(1.0, 1.0),
            factors=(one * factor, other * factor),
            masses=(one, other),
            balance_is_positive=self.options.is_mergekit,
        )
        return arithmetic.elect(first, second, rule)

    def _shares(self, tensor: TensorArms, squares: tuple[float, ...]) -> tuple[float, float]:
        """Weights of the arms. mergekit takes them as equal where the mean of all squares is below 1e-6."""
        total = sum(squares)
        least = 1e-6 * tensor.rows.height * tensor.rows.columns if self.options.is_mergekit else 0.0
        if total == 0 or total < least:
            return 0.5, 0.5
        return squares[0] / total, squares[1] / total

    @property
    def _selection(self) -> Threshold:
        return Threshold(
            stream=Stream.DISTANCE, kept=self.options.resolved_density, of_nonzero=self.options.is_mergekit
        )

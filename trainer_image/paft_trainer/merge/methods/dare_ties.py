"""DARE before TIES: dropping at random takes the place of trimming (arXiv 2311.03099, section 3.3)."""

from dataclasses import dataclass

from paft_api.spec.merge_options import MergeOptions
from paft_trainer.merge.arithmetic import Arithmetic, Delta
from paft_trainer.merge.dropping import Dropping
from paft_trainer.merge.electing import election
from paft_trainer.merge.method import TensorArms
from paft_trainer.merge.questions import Answers, Question
from paft_trainer.merge.rows import Rows


@dataclass(frozen=True)
class DareTies:
    """Signs are elected and the mean is taken as by `ties`, where mergekit adds the agreeing arms up by default."""

    options: MergeOptions

    @property
    def dropping(self) -> Dropping:
        """How entries are dropped before."""
        return Dropping.of(self.options)

    def questions(self, tensor: TensorArms) -> list[Question]:
        """Sums of magnitudes, to rescale by them."""
        return [*self.dropping.questions(tensor)]

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
        dropping = self.dropping
        first, second = (dropping.drop(tensor, arm, delta, rows, arithmetic) for arm, delta in enumerate(deltas))
        return arithmetic.elect(first, second, election(self.options, tensor, dropping.factors(tensor, answers)))

"""DELLA: small entries of a row are dropped more often than large ones, then signs are elected (arXiv 2406.11617)."""

from dataclasses import dataclass

from paft_api.spec.merge_options import MergeOptions
from paft_trainer.merge.arithmetic import Arithmetic, Delta
from paft_trainer.merge.dropping import Dropping
from paft_trainer.merge.electing import election
from paft_trainer.merge.method import TensorArms
from paft_trainer.merge.questions import Answers, Question
from paft_trainer.merge.rows import Rows


@dataclass(frozen=True)
class Della:
    """Each entry stays with a probability from density − epsilon to density + epsilon, by its rank in its row."""

    options: MergeOptions

    def questions(self, tensor: TensorArms) -> list[Question]:
        """Sums of magnitudes, to rescale by them."""
        return [*Dropping.of(self.options, by_rank=True).questions(tensor)]

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
        dropping = Dropping.of(self.options, by_rank=True)
        first, second = (dropping.drop(tensor, arm, delta, rows, arithmetic) for arm, delta in enumerate(deltas))
        return arithmetic.elect(first, second, election(self.options, tensor, dropping.factors(tensor, answers)))

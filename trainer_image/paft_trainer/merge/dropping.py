"""Dropping at random, and what is multiplied with what stays (arXiv 2311.03099, section 3.2; 2406.11617)."""

from dataclasses import dataclass

from paft_api.spec.merge_options import MergeOptions
from paft_trainer.merge.arithmetic import Arithmetic, Delta
from paft_trainer.merge.masks import draw_threshold, mask_key
from paft_trainer.merge.method import ARMS, TensorArms
from paft_trainer.merge.questions import Answers, DroppedSums
from paft_trainer.merge.rows import Rows
from paft_trainer.merge.trimming import STREAMS


@dataclass(frozen=True, kw_only=True, slots=True)
class Dropping:
    """How entries of a job's deltas are dropped. `epsilon`: None for one probability for all entries."""

    density: float
    seed: int
    rescale: str
    epsilon: float | None

    @classmethod
    def of(cls, options: MergeOptions, *, by_rank: bool = False) -> "Dropping":
        """As the options say."""
        density = options.resolved_density
        return cls(
            # Below 2^-33 no entry is ever drawn.
            density=density if draw_threshold(density) > 0 else 0.0,
            seed=options.resolved_seed,
            rescale=str(options.resolved()["rescale"]),
            epsilon=options.resolved_epsilon if by_rank else None,
        )

    def questions(self, tensor: TensorArms) -> list[DroppedSums]:
        """Sums of magnitudes, where what stays is rescaled by them."""
        if self.rescale != "Norm" or self.density in (0, 1):
            return []
        return [self._sums(tensor, arm) for arm in range(len(ARMS))]

    def drop(self, tensor: TensorArms, arm: int, delta: Delta, rows: Rows, arithmetic: Arithmetic) -> Delta:
        """What stays of some rows, not yet rescaled but for DELLA's division by each entry's probability."""
        if self.density == 1:
            return delta
        start = rows.first_index
        if self.epsilon is None or self.density == 0:
            return arithmetic.keep_drawn(delta, key=self._key(tensor, arm), start=start, density=self.density)
        return arithmetic.keep_drawn_by_rank(
            delta,
            key=self._key(tensor, arm),
            start=start,
            density=self.density,
            epsilon=self.epsilon,
            rescales=self.rescale == "Density",
        )

    def factors(self, tensor: TensorArms, answers: Answers) -> tuple[float, float]:
        """What the entries that stay are multiplied with, by arm."""
        if self.density in (0, 1) or self.rescale == "None":
            return 1.0, 1.0
        if self.rescale == "Norm":
            first, second = (self._ratio(answers[self._sums(tensor, arm)]) for arm in range(len(ARMS)))
            return first, second
        return (1.0, 1.0) if self.epsilon is not None else (1 / self.density, 1 / self.density)

    def _key(self, tensor: TensorArms, arm: int) -> int:
        return mask_key(seed=self.seed, arm=ARMS[arm], name=tensor.name)

    def _sums(self, tensor: TensorArms, arm: int) -> DroppedSums:
        return DroppedSums(stream=STREAMS[arm], key=self._key(tensor, arm), density=self.density, epsilon=self.epsilon)

    @staticmethod
    def _ratio(sums: tuple[float, ...]) -> float:
        before, after = sums
        return before / after if after > 0 else 1.0

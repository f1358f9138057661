"""The seam between merge methods and what computes: kernels on CPU, torch on a GPU.

A `Delta` is fp32 [rows, columns]: a numpy array or a torch tensor, whichever the arithmetic works with. No operation
changes a delta.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from paft_trainer.adapters import Factors
from paft_trainer.merge.rows import Rows

Delta = Any
Counts = np.ndarray[tuple[int], np.dtype[np.int64]]
Magnitudes = np.ndarray[tuple[int], np.dtype[np.float32]]

DTYPES = {"BF16": 2, "F32": 4, "F16": 2}
"""Base dtypes that can take a delta, and bytes of an entry."""

UPPER_BINS = 1 << 15
LOWER_BINS = 1 << 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Election:
    """How signs are elected and what becomes of the arms that agree, each by arm.

    `votes`: factors of the deltas in the election. `factors`: those of the values. `masses`: what the sum of values is
    divided by, added up over the arms that agree; None where it is not divided. `balance_is_positive`: votes in exact
    balance elect plus, as in mergekit, else nothing.
    """

    votes: tuple[float, float]
    factors: tuple[float, float]
    masses: tuple[float, float] | None
    balance_is_positive: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Added:
    """What adding a delta to rows of the base came to.

    `zero`: entries whose delta is 0. `unchanged`: entries that keep their bits. `not_finite`: entries that left the
    dtype's range.
    """

    zero: int
    unchanged: int
    not_finite: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Meeting:
    """Entries that are not 0 in the first delta, in the second, in both; and of those the ones of opposed sign."""

    first: int
    second: int
    both: int
    opposed: int

    def __add__(self, other: "Meeting") -> "Meeting":
        return Meeting(
            first=self.first + other.first,
            second=self.second + other.second,
            both=self.both + other.both,
            opposed=self.opposed + other.opposed,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Between:
    """Magnitudes that lie between two bounds, fp32 in no order; how many lie above, and how many are not 0."""

    values: Magnitudes
    above: int
    nonzero: int


class Arithmetic(Protocol):
    """What merging is made of."""

    def delta(self, factors: Factors | None, rows: Rows) -> Delta:
        """scale·B·A for these rows; zeros without factors."""

    def keep_band(self, delta: Delta, *, factor: float, low: float, high: float) -> Delta:
        """Entries of which |entry·factor| lies in [low, high]; the others are 0."""

    def keep_far(self, first: Delta, second: Delta, *, low: float) -> tuple[Delta, Delta]:
        """Both, where they are at least `low` apart; the other entries are 0."""

    def keep_drawn(self, delta: Delta, *, key: int, start: int, density: float) -> Delta:
        """A random share of the entries, see `masks`. `start`: index of the first entry in its tensor."""

    def keep_drawn_by_rank(
        self, delta: Delta, *, key: int, start: int, density: float, epsilon: float, rescales: bool
    ) -> Delta:
        """The same, with a probability that rises from density − epsilon to density + epsilon with an entry's rank in
        its row; `rescales`: entries that stay are divided by it."""

    def weighted_sum(self, first: Delta, second: Delta, factors: tuple[float, float]) -> Delta:
        """Σ factorᵢ·deltaᵢ."""

    def elect(self, first: Delta, second: Delta, election: Election) -> Delta:
        """The disjoint merge of what agrees with the elected signs."""

    def distance(self, first: Delta, second: Delta) -> Delta:
        """|first − second|."""

    def magnitudes(self, delta: Delta, *, factor: float) -> Magnitudes:
        """|delta·factor| of all entries."""

    def between(self, delta: Delta, *, factor: float, low: float, high: float) -> Between:
        """Entries of |delta·factor| in [low, high], and how many lie above or are not 0."""

    def count_upper_bits(self, delta: Delta, counts: Counts, *, factor: float) -> None:
        """Add entries of |delta·factor| to `counts`, int64 [32768], by the upper 16 of their 32 bits."""

    def count_lower_bits(self, delta: Delta, counts: Counts, *, factor: float, bin_: int) -> None:
        """Add entries of one such bin to `counts`, int64 [65536], by their lower 16 bits."""

    def magnitude_sums(self, delta: Delta) -> list[float]:
        """Σ|entry| of each row, in float64."""

    def product_sums(self, first: Delta, second: Delta) -> list[float]:
        """Σ first·second of each row, in float64."""

    def meet(self, first: Delta, second: Delta) -> Meeting:
        """How two deltas meet."""

    def decode(self, base: bytes | memoryview, dtype: str, rows: Rows) -> Delta:
        """Rows of the base in fp32. `dtype`: BF16, F16 or F32."""

    def add(self, base: bytes | memoryview, dtype: str, delta: Delta, out: memoryview) -> Added:
        """base + delta, added in fp32 and rounded once to the base's dtype, to nearest even; the bytes go to `out`."""

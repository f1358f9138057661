"""What a method wants to know of whole tensors before it can merge a part of one."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

Answers = Mapping["Question", tuple[float, ...]]


class Stream(StrEnum):
    """Of which values something is asked."""

    FIRST = "first"
    """The SFT delta's entries."""
    SECOND = "second"
    """The preference delta's entries."""
    DISTANCE = "distance"
    """Their difference."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Threshold:
    """A magnitude: of all entries in order, the `removed` share of the largest goes, the `kept` share after it stays.

    It is that of the last entry that stays, or with `is_upper` of the first one. Shares are rounded down, as in
    mergekit and PEFT, and `kept` has precedence over `removed`. `of_nonzero`: shares of the entries that are not 0.
    `factor`: the entries are multiplied with it first. `in_model`: among all tensors together, whose factors follow one
    rule of this name; None for one tensor alone.

    Answered with (magnitude,): infinite where nothing stays or, with `is_upper`, nothing goes; 0 for the last of all
    entries.
    """

    stream: Stream
    kept: float
    removed: float = 0.0
    is_upper: bool = False
    of_nonzero: bool = False
    factor: float = 1.0
    in_model: str | None = None

    def rank(self, entries: int) -> int:
        """Which of so many entries it is, from 1 for the largest; 0 where nothing stays."""
        kept = int(self.kept * entries)
        removed = min(int(self.removed * entries), entries - kept)
        if kept == 0:
            return 0
        return removed + 1 if self.is_upper else removed + kept


@dataclass(frozen=True, kw_only=True, slots=True)
class DroppedSums:
    """Sums of magnitudes of an arm's delta before and after dropping. Answered with (before, after)."""

    stream: Stream
    key: int
    density: float
    epsilon: float | None
    """None for DARE; else that of DELLA, without its division by the probability."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SelectedSquares:
    """Squared lengths of both deltas after selection by their distance. Answered with (first, second)."""

    selection: Threshold


@dataclass(frozen=True, kw_only=True, slots=True)
class WholeWeights:
    """Of base + factor·delta of either arm: answered with (first squared, second squared, inner product)."""

    factors: tuple[float, float]


Question = Threshold | DroppedSums | SelectedSquares | WholeWeights

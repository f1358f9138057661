"""Between which magnitudes a threshold probably lies, from a sample of a tensor's entries.

A guess only saves work: one look then finds the exact threshold among the few entries between the bounds. Where it does
not lie there, which the look shows, entries are counted by their bits instead.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from paft_trainer.adapters import Factors
from paft_trainer.merge.arithmetic import Arithmetic, Between, Delta, Magnitudes
from paft_trainer.merge.questions import Threshold
from paft_trainer.merge.rows import Rows
from paft_trainer.merge.selection import EVERYTHING, NOTHING

SAMPLED_ENTRIES = 1 << 18
"""Entries of a sample, about."""
ROWS_TO_COLUMNS = 8
"""How much denser rows are sampled than columns: magnitudes differ more from one to the next, down to rows of zeros."""
MARGIN = 0.02
"""Share of all entries by which a guess may be wrong to either side."""
MOST_OF_A_STREAM = 2
"""Thresholds of one stream up to which guesses save work: each is looked for by itself, while bits are counted once."""
LARGEST_TENSOR = 1 << 27
"""Entries from which nothing is guessed, as too many would lie between."""


SMALLEST = float(np.nextafter(np.float32(0), np.float32(1)))
"""The smallest magnitude that is not 0."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """Magnitudes, both included."""

    low: float
    high: float


NOWHERE = Bounds(low=math.inf, high=math.inf)
"""For a threshold that is probably 0: how many entries are not 0 is all that has to be counted."""


def sample_of(factors: Sequence[Factors | None], rows: Rows, arithmetic: Arithmetic) -> tuple[Delta, Delta]:
    """Both deltas in some rows and columns of a whole tensor."""
    entries = rows.height * rows.columns
    square = entries / SAMPLED_ENTRIES
    down = max(1, round(math.sqrt(square / ROWS_TO_COLUMNS)))
    across = max(1, math.ceil(square / down))
    sampled = Rows(start=0, stop=len(range(0, rows.height, down)), columns=len(range(0, rows.columns, across)))
    first, second = (arithmetic.delta(None if one is None else _thinned(one, down, across), sampled) for one in factors)
    return first, second


def guess(threshold: Threshold, sample: Magnitudes) -> Bounds:
    """`sample`: magnitudes of the threshold's stream, times its factor."""
    if threshold.of_nonzero:
        sample = sample[sample > 0]
    entries = len(sample)
    place = entries - threshold.rank(entries)
    margin = math.ceil(MARGIN * entries)
    low, high = place - margin, place + margin
    in_place = np.partition(sample, [max(low, 0), min(high, entries - 1)]) if entries else sample
    upper = float(in_place[high]) if high < entries else math.inf
    if entries == 0 or upper == 0:
        return NOWHERE
    return Bounds(low=max(float(in_place[low]), SMALLEST) if low >= 0 else SMALLEST, high=upper)


def found(threshold: Threshold, between: Between, *, entries: int) -> float | None:
    """The threshold, or None where the guess was wrong. `between`: of all entries."""
    rank = threshold.rank(between.nonzero if threshold.of_nonzero else entries)
    if rank == 0:
        return NOTHING
    if rank > between.nonzero:
        return EVERYTHING
    place = len(between.values) - (rank - between.above)
    if not 0 <= place < len(between.values):
        return None
    return float(np.partition(between.values, place)[place])


def together(parts: Sequence[Between]) -> Between:
    """Of all parts."""
    return Between(
        values=np.concatenate([part.values for part in parts]),
        above=sum(part.above for part in parts),
        nonzero=sum(part.nonzero for part in parts),
    )


def _thinned(factors: Factors, down: int, across: int) -> Factors:
    a, b = np.ascontiguousarray(factors.a[:, ::across]), np.ascontiguousarray(factors.b[::down])
    return Factors(a=a, b=b, scale=factors.scale)

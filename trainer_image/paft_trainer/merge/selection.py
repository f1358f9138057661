"""The exact k-th largest magnitude, in bounded memory.

Magnitudes are ordered as their bits are, so one look at all entries counts their upper 16 bits, and a second one the
lower 16 bits within the one bin that matters.
"""

import numpy as np

from paft_trainer.merge.arithmetic import Counts

EVERYTHING = 0.0
NOTHING = float("inf")


def locate(counts: Counts, rank: int) -> tuple[int, int]:
    """The bin that holds the `rank`-th largest entry (from 1), and which of the bin's entries it is, from the top."""
    from_top = np.cumsum(counts[::-1])
    position = int(np.searchsorted(from_top, rank))
    above = int(from_top[position - 1]) if position > 0 else 0
    return len(counts) - 1 - position, rank - above


def magnitude(upper: int, lower: int) -> float:
    """The fp32 number of these 32 bits."""
    return float(np.uint32(upper << 16 | lower).view(np.float32))

"""Trimming: of each tensor's delta only the entries of largest magnitude stay (arXiv 2306.01708, section 4.1).

The magnitude from which entries stay is exact, found in bounded memory: non-negative floats are ordered as their
bits are, so one pass counts the upper 16 bits and a second the lower 16 bits within the one bin that matters.
"""

from collections.abc import Callable, Iterable

import torch

_UPPER_BINS = 1 << 15
_LOWER_BINS = 1 << 16


def kept_entries(density: float, entries: int) -> int:
    """How many of `entries` stay: ⌊density·entries⌋, as in mergekit and PEFT."""
    return int(density * entries)


def trim_threshold(parts: Callable[[], Iterable[torch.Tensor]], *, keep: int, entries: int) -> float:
    """Magnitude of the `keep`-th largest entry, so that trimming keeps entries of at least this magnitude.

    `parts()` gives the delta's parts, fp32, and is called twice. Entries of equal magnitude stay or go together. With
    `keep` 0 the threshold is infinite, with all entries kept it is 0.
    """
    if keep == 0:
        return float("inf")
    if keep >= entries:
        return 0.0
    upper = torch.zeros(_UPPER_BINS, dtype=torch.int64)
    for part in parts():
        upper += torch.bincount(_bits(part) >> 16, minlength=_UPPER_BINS)
    bin_, rest = _locate(upper, keep)
    lower = torch.zeros(_LOWER_BINS, dtype=torch.int64)
    for part in parts():
        bits = _bits(part)
        lower += torch.bincount(bits[bits >> 16 == bin_] & 0xFFFF, minlength=_LOWER_BINS)
    low, _ = _locate(lower, rest)
    return float(torch.tensor((bin_ << 16) | low, dtype=torch.int32).view(torch.float32))


def trim_(delta: torch.Tensor, threshold: float) -> torch.Tensor:
    """Set entries below the threshold in magnitude to 0, in place."""
    return delta.masked_fill_(delta.abs() < threshold, 0.0)


def _bits(part: torch.Tensor) -> torch.Tensor:
    return part.abs().flatten().contiguous().view(torch.int32).long()


def _locate(counts: torch.Tensor, keep: int) -> tuple[int, int]:
    """The bin that holds the `keep`-th largest entry, and which of the bin's entries it is, from the top."""
    from_top = counts.flip(0).cumsum(0)
    position = int(torch.searchsorted(from_top, keep))
    above = int(from_top[position - 1]) if position > 0 else 0
    return len(counts) - 1 - position, keep - above

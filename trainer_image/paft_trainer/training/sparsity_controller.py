"""Steers one factor's share of zeros to a target: how strong its penalty has to be, from counts alone.

Each step tells, for every entry, the strength λ that would have made it zero (`needed_strength`); the quantile of these
at the next step's target is the λ that is wanted. The controller is an integrator on log λ, for strengths span orders
of magnitude: each step moves it by a part of the distance to the wanted one. λ stays between the 5 % and the 95 %
quantile of √v̂: below the first hardly anything shrinks, and above the second nearly everything does so by the whole
learning rate already, which no λ can exceed. The integrator holds the bounded value, so that it never winds up. The
lower bound gives way where the counts show that even less is enough: zeros stay at zero as long as the mean gradient is
below λ, and that can be far below √v̂, which remembers more (a toy's B has 23 % zeros at its 5 % quantile).

Everything here is arithmetic on tensors of a few kilobytes: no value comes to the host, and counts are integers, so
that their sum is the same for any number of ranks.
"""

import math

import torch

BINS = 1024
"""Bins of a histogram: from 2⁻⁵² to 2¹² sixteen to each power of two; the first and the last are open."""

LOWEST_QUANTILE, HIGHEST_QUANTILE = 0.05, 0.95
"""Bounds of λ, as shares of the entries whose √v̂ lies below."""

GAIN = 0.5
"""Part of the distance to the wanted log λ that one step goes."""

_SHIFT = 19
_FIRST_BIN = (127 - 52) << (23 - _SHIFT)


def needed_strength(size: torch.Tensor, root: torch.Tensor, *, learning_rate: float, epsilon: float) -> torch.Tensor:
    """The smallest λ whose threshold min(lr, lr·λ/(√v̂+ε)) makes each weight zero: 0 for zeros, ∞ where none does.

    `size`: of weights after Adam's step, any sign. `root`: √v̂; where it is 0 nothing shrinks. Both fp32, [n].
    """
    magnitude = size.abs()
    out_of_reach = (magnitude > learning_rate) | ((root == 0) & (magnitude > 0))
    needed = magnitude * (root + epsilon) / max(learning_rate, math.ulp(0.0))
    return needed.masked_fill(magnitude == 0, 0.0).masked_fill(out_of_reach, math.inf)


def histogram_of(values: torch.Tensor) -> torch.Tensor:
    """Counts by size, int64 [BINS]. `values`: fp32 from 0 to ∞, [n]."""
    # Numbers that are not negative have the order of their bits.
    bins = ((values.view(torch.int32) >> _SHIFT) - _FIRST_BIN).clamp_(0, BINS - 1).long()
    counts = torch.zeros(BINS, dtype=torch.int64, device=values.device)
    return counts.scatter_add_(0, bins, torch.ones_like(bins))


def quantile(histogram: torch.Tensor, share: float) -> torch.Tensor:
    """The size up to which `share` of the counted values lie, fp32 []; 0 for the first bin, ∞ for the last or none."""
    cumulative = histogram.cumsum(0)
    bin_ = torch.searchsorted(cumulative, (share * cumulative[-1:]).ceil().long().clamp_(min=1)).int()
    middle = (((bin_ + _FIRST_BIN) << _SHIFT) + (1 << (_SHIFT - 1))).view(torch.float32)
    return torch.where(bin_ == 0, 0.0, torch.where(bin_ >= BINS - 1, math.inf, middle)).squeeze(0)


def steer(strength: torch.Tensor, *, roots: torch.Tensor, needed: torch.Tensor, next_target: float) -> torch.Tensor:
    """λ of the next step, fp32 []. `strength`: λ of this one; 0 at first.

    `roots`: histogram of √v̂; its first bin counts what has had no gradient yet. `needed`: of `needed_strength`.
    `next_target`: share of zeros wanted after the next step.
    """
    moving = roots.clone()
    moving[0] = 0
    lowest, highest = quantile(moving, LOWEST_QUANTILE), quantile(moving, HIGHEST_QUANTILE)
    enough = quantile(needed, next_target)
    lowest = torch.where(enough > 0, torch.minimum(lowest, enough), lowest)
    wanted = torch.clamp(enough, min=lowest, max=highest).log()
    before = torch.where(strength > 0, strength.log(), wanted)
    bounded = torch.clamp((before + GAIN * (wanted - before)).exp(), min=lowest, max=highest)
    is_known = (highest < math.inf) & (next_target > 0)
    return torch.where(is_known, bounded, 0.0)

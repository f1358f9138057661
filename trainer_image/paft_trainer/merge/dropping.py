"""Dropping: of each tensor's delta a random share stays, rescaled so that its mean stays (DARE, arXiv 2311.03099).

Which entries stay follows from seed, arm, tensor name and the entry's index alone, by a counter-based generator: the
output function of SplitMix64 (Steele, Lea and Flood, doi 10.1145/2660193.2660195) of key + (index + 1) · γ. So masks do
not depend on how a tensor is cut, on the number of workers, or on the device. The paper draws each entry by itself,
with probability `density` here and 1 − p there; so does this.
"""

import hashlib

import numpy as np
import torch

_BLOCK = 1 << 16
"""Entries of which the 64-bit numbers are held at once."""
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_FIRST_FACTOR = np.uint64(0xBF58476D1CE4E5B9)
_SECOND_FACTOR = np.uint64(0x94D049BB133111EB)


def mask_key(*, seed: int, arm: str, name: str) -> int:
    """The 64-bit key of one arm's mask of one tensor."""
    return int.from_bytes(hashlib.sha256(f"{seed}\0{arm}\0{name}".encode()).digest()[:8], "big")


def keep_mask(key: int, *, start: int, count: int, density: float) -> torch.Tensor:
    """Which of `count` entries from index `start` on stay, as bool [count]. Density 0 keeps none, 1 keeps all."""
    threshold = np.uint64(round(density * 2**32))
    mask = np.empty(count, dtype=bool)
    for first in range(0, count, _BLOCK):
        last = min(first + _BLOCK, count)
        np.less(_random_32_bits(key, start + first, last - first), threshold, out=mask[first:last])
    return torch.from_numpy(mask)


def _random_32_bits(key: int, start: int, count: int) -> "np.ndarray[tuple[int], np.dtype[np.uint64]]":
    mixed = np.arange(start + 1, start + 1 + count, dtype=np.uint64) * _GAMMA + np.uint64(key)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _FIRST_FACTOR
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _SECOND_FACTOR
    return (mixed ^ (mixed >> np.uint64(31))) >> np.uint64(32)


def drop_(delta: torch.Tensor, key: int, *, start: int, density: float) -> torch.Tensor:
    """Drop and rescale by 1 / density, in place. `delta`: fp32, whole rows; `start`: index of its first entry."""
    mask = keep_mask(key, start=start, count=delta.numel(), density=density).view(delta.shape)
    return delta.mul_(1.0 / density if density > 0 else 0.0).masked_fill_(~mask, 0.0)

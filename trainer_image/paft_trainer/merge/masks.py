"""Which entries stay when entries are dropped at random (DARE, arXiv 2311.03099; DELLA, arXiv 2406.11617).

It follows from seed, arm, tensor name and the entry's index alone, by a counter-based generator: the output function of
SplitMix64 (Steele, Lea and Flood, doi 10.1145/2660193.2660195) of key + (index + 1) · γ, of which the upper 32 bits are
compared with the probability to stay. So masks do not depend on how a tensor is cut, on the number of workers, or on
the device. The papers draw each entry by itself; so does this.
"""

import hashlib


def mask_key(*, seed: int, arm: str, name: str) -> int:
    """The 64-bit key of one arm's mask of one tensor."""
    return int.from_bytes(hashlib.sha256(f"{seed}\0{arm}\0{name}".encode()).digest()[:8], "big")


def draw_threshold(density: float) -> int:
    """An entry stays where its number of 32 bits is below this: none at density 0, all at 1."""
    return round(density * 2**32)

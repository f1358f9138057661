"""The programs that are measured against each other."""

from enum import StrEnum


class Program(StrEnum):
    """Who trains an arm."""

    OURS = "ours"
    """The product: packed, the reference kept."""
    ONLINE = "online"
    """The product, but the reference is computed in every step."""
    TRL = "TRL"
    """TRL's trainer as it comes: padded, the reference in every step; on two ranks under the product's ZeRO-3."""
    BARE = "bare loop"
    """A loop of torch and PEFT alone, padded, with the reference known beforehand; in one process."""

"""The four stages of a PaftJob and the names of its two arms."""

from enum import StrEnum


class StageName(StrEnum):
    """What runs, in the order in which a reader expects it."""

    PREPARE = "prepare"
    SFT = "sft"
    PREFERENCE = "preference"
    MERGE = "merge"


ARMS: tuple[StageName, StageName] = (StageName.SFT, StageName.PREFERENCE)
"""The stages that train an adapter; they run in parallel."""

"""What loading cost one rank, as ranks tell it."""

from typing import TypedDict


class LoadCost(TypedDict):
    """`seconds`: until all ranks were done. In bytes: `growth`, the peak of resident memory over that before; and
    `partition`, of the weights that this rank holds afterwards."""

    seconds: float
    growth: int
    partition: int

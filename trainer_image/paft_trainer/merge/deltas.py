"""ΔW of one module, tile by tile.

A tile is a fixed block of rows. Tiles depend on the tensor's shape alone, so the results of matrix products, which
depend on the shapes of the call, are the same whatever memory there is.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from paft_trainer.adapters import Factors

TILE_ELEMENTS = 2 * 1024 * 1024
"""Elements of ΔW in one tile, as far as whole rows allow."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tile:
    """Rows `start` up to `stop` of a matrix."""

    start: int
    stop: int


def tiles(rows: int, columns: int) -> Iterator[Tile]:
    """The tiles of a matrix, in order."""
    height = max(1, TILE_ELEMENTS // columns)
    for start in range(0, rows, height):
        yield Tile(start=start, stop=min(start + height, rows))


def delta_tile(factors: Factors, tile: Tile) -> torch.Tensor:
    """scale·B·A for the rows of a tile, fp32 [rows, in_features]."""
    return (factors.b[tile.start : tile.stop] @ factors.a).mul_(factors.scale)

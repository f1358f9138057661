"""ΔW of one module, a block of rows at a time."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from paft_trainer.adapters import Factors

CHUNK_ELEMENTS = 2 * 1024 * 1024
"""Elements of a weight that are held at once, as far as whole rows allow."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RowChunk:
    """Rows `start` up to `stop` of a matrix."""

    start: int
    stop: int


def row_chunks(rows: int, columns: int, *, chunk_elements: int = CHUNK_ELEMENTS) -> Iterator[RowChunk]:
    """The chunks of a matrix, in order."""
    height = max(1, chunk_elements // max(1, columns))
    for start in range(0, rows, height):
        yield RowChunk(start=start, stop=min(start + height, rows))


def delta_rows(factors: Factors, chunk: RowChunk) -> torch.Tensor:
    """scale·B·A for the rows of a chunk, fp32 [rows, in_features].

    Each product and each sum is rounded to fp32 by itself, in the order of r. A BLAS product would be three times as
    fast, but its bits depend on the shape of the call, on the number of threads and on the processor: two machines that
    publish one recipe, or two sizes of chunk, would not write the same bytes.
    """
    b = factors.b[chunk.start : chunk.stop]
    delta = torch.zeros(b.shape[0], factors.a.shape[1])
    product = torch.empty_like(delta)
    for rank in range(b.shape[1]):
        torch.mul(b[:, rank : rank + 1], factors.a[rank : rank + 1], out=product)
        delta.add_(product)
    return delta.mul_(factors.scale)

"""Sources in proportion: how often each row comes in an epoch.

A source of n rows and weight w gives an epoch ⌊w⌋ copies of each of its rows, and of the rest of the weight,
round((w − ⌊w⌋)·n) rows, drawn without replacement and anew in each epoch. So the share of a source in the mix is
w·n / Σ w·n, and an epoch has the same number of rows each time. All of it is a function of seed and epoch alone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of one source. `rows`: those that can be learnt from. `weight`: see DataSource."""

    rows: int
    weight: float = 1.0

    @property
    def copies(self) -> int:
        """How often each row comes at least."""
        return math.floor(self.weight)

    @property
    def drawn(self) -> int:
        """Rows that come once more, others in each epoch."""
        return math.floor((self.weight - self.copies) * self.rows + 0.5)

    @property
    def epoch_rows(self) -> int:
        """Rows that it gives to an epoch."""
        return self.copies * self.rows + self.drawn


@dataclass(frozen=True, slots=True)
class Mixture:
    """Sources one after the other; their rows are numbered through."""

    parts: tuple[Part, ...]

    @classmethod
    def plain(cls, rows: int) -> "Mixture":
        """Each row once."""
        return cls((Part(rows),))

    @classmethod
    def of(cls, rows: Sequence[int], weights: Sequence[float]) -> "Mixture":
        """Numbers of rows, and weights, of each source."""
        return cls(tuple(Part(count, weight) for count, weight in zip(rows, weights, strict=True)))

    @property
    def rows(self) -> int:
        """Rows that there are."""
        return sum(part.rows for part in self.parts)

    @property
    def epoch_rows(self) -> int:
        """Rows of an epoch."""
        return sum(part.epoch_rows for part in self.parts)

    def shuffled(self, generator: torch.Generator) -> torch.Tensor:
        """Numbers of the rows of one epoch in their order, int64, shape (epoch_rows,)."""
        if all(part.weight == 1.0 for part in self.parts):
            return torch.randperm(self.rows, generator=generator)
        first, numbers = 0, [torch.zeros(0, dtype=torch.int64)]
        for part in self.parts:
            numbers += [torch.arange(first, first + part.rows)] * part.copies
            if part.drawn:
                numbers.append(first + torch.randperm(part.rows, generator=generator)[: part.drawn])
            first += part.rows
        pool = torch.cat(numbers)
        return pool[torch.randperm(len(pool), generator=generator)]

"""Means over the pairs of whole optimizer steps, for the logs: summed pass by pass, gathered once for an entry."""

from collections.abc import Mapping

import torch
import torch.distributed as dist


class PairFigures:
    """Sums of named figures over pairs."""

    def __init__(self) -> None:
        self._sums: dict[str, torch.Tensor] = {}
        self._pairs = 0

    def take_in(self, figures: Mapping[str, torch.Tensor]) -> None:
        """One pass's; `figures`: each of shape (pairs,), the same names in every pass on every process."""
        for name, values in figures.items():
            total = values.detach().double().sum()
            self._sums[name] = self._sums[name] + total if name in self._sums else total
        self._pairs += len(next(iter(figures.values())))

    def take(self) -> dict[str, float]:
        """Means over all pairs since the last call, on all processes. Collective."""
        sums = torch.stack(list(self._sums.values()))
        sums = torch.cat([sums, sums.new_tensor([self._pairs])])
        if dist.is_initialized():
            dist.all_reduce(sums)
        *totals, pairs = sums.tolist()
        means = {name: total / pairs for name, total in zip(self._sums, totals, strict=True)}
        self._sums, self._pairs = {}, 0
        return means

"""The merge's arithmetic on a torch device. Entries have the bits of the kernels'; sums may differ in the last bits.

Products and sums are rounded one by one, as the kernels round them: no addcmul, no matrix product, no TF32. A factor is
a tensor of one fp32 number, for torch multiplies by Python's numbers in their own precision. Numbers of 64 bits that
wrap around are int64 here; their shifts to the right are made logical by a mask.
"""

import numpy as np
import torch

from paft_trainer.adapters import Factors
from paft_trainer.merge.arithmetic import LOWER_BINS, UPPER_BINS, Added, Between, Counts, Election, Magnitudes, Meeting
from paft_trainer.merge.masks import draw_threshold
from paft_trainer.merge.rows import Rows

_DTYPES = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}
_BITS = {"BF16": torch.int16, "F16": torch.int16, "F32": torch.int32}
_QUIET_NAN = {"BF16": (-1, 0x0040), "F16": (-0x8000, 0x7E00), "F32": (-1, 0x00400000)}
"""Which bits a NaN of the base keeps in a sum, and which are set: devices differ in that."""
_EXPONENTS = {"BF16": 0x7F80, "F16": 0x7C00, "F32": 0x7F800000}

_GAMMA, _FIRST_FACTOR, _SECOND_FACTOR = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_SORTED_ROWS = 1024
"""Rows that are ranked at once: the indices of a rank take eight bytes an entry."""


class TorchArithmetic:
    """`Arithmetic` over tensors on `device`. Any number of threads may use it at once; they share its stream."""

    def __init__(self, device: str) -> None:
        self._device = torch.device(device)

    def delta(self, factors: Factors | None, rows: Rows) -> torch.Tensor:
        """scale·B·A for these rows, over r in its order."""
        out = torch.zeros(rows.height, rows.columns, device=self._device)
        if factors is None:
            return out
        a = factors.a.to(self._device)
        b = factors.b[rows.start : rows.stop].to(self._device)
        for k in range(a.shape[0]):
            out.add_(torch.mul(b[:, k : k + 1], a[k]))
        return out.mul_(self._number(factors.scale))

    def keep_band(self, delta: torch.Tensor, *, factor: float, low: float, high: float) -> torch.Tensor:
        """See Arithmetic."""
        magnitude = (delta * self._number(factor)).abs()
        return self._where((magnitude >= self._number(low)) & (magnitude <= self._number(high)), delta)

    def keep_far(self, first: torch.Tensor, second: torch.Tensor, *, low: float) -> tuple[torch.Tensor, torch.Tensor]:
        """See Arithmetic."""
        stays = (first - second).abs() >= self._number(low)
        return self._where(stays, first), self._where(stays, second)

    def keep_drawn(self, delta: torch.Tensor, *, key: int, start: int, density: float) -> torch.Tensor:
        """See Arithmetic."""
        return self._where(self._random_32_bits(delta, key, start) < draw_threshold(density), delta)

    def keep_drawn_by_rank(
        self, delta: torch.Tensor, *, key: int, start: int, density: float, epsilon: float, rescales: bool
    ) -> torch.Tensor:
        """See Arithmetic."""
        columns = delta.shape[1]
        ranks = torch.arange(columns, dtype=torch.float64, device=self._device)
        step = (2 * epsilon) / max(columns - 1, 1)
        by_rank = (density - epsilon) + step * ranks
        out = torch.empty_like(delta)
        for first in range(0, delta.shape[0], _SORTED_ROWS):
            part = delta[first : first + _SORTED_ROWS]
            order = torch.sort(part.abs(), dim=1, stable=True).indices
            probability = torch.empty_like(part, dtype=torch.float64)
            probability.scatter_(1, order, by_rank.expand_as(order))
            numbers = self._random_32_bits(part, key, start + first * columns)
            kept = part * probability.float().reciprocal() if rescales else part
            out[first : first + _SORTED_ROWS] = self._where(numbers.double() < probability * 2.0**32, kept)
        return out

    def weighted_sum(self, first: torch.Tensor, second: torch.Tensor, factors: tuple[float, float]) -> torch.Tensor:
        """See Arithmetic."""
        one, other = map(self._number, factors)
        return torch.mul(first, one).add_(torch.mul(second, other))

    def elect(self, first: torch.Tensor, second: torch.Tensor, election: Election) -> torch.Tensor:
        """See Arithmetic."""
        votes = [delta * self._number(vote) for delta, vote in zip((first, second), election.votes, strict=True)]
        total = votes[0] + votes[1]
        plus, minus = total > 0, total < 0
        if election.balance_is_positive:
            plus |= total == 0
        agrees = [(plus & (vote > 0)) | (minus & (vote < 0)) for vote in votes]
        one, other = (
            self._where(agree, delta * self._number(factor))
            for agree, delta, factor in zip(agrees, (first, second), election.factors, strict=True)
        )
        value = one + other
        if election.masses is None:
            return value
        none = torch.zeros((), device=self._device)
        masses = [
            torch.where(agree, self._number(mass), none) for agree, mass in zip(agrees, election.masses, strict=True)
        ]
        mass = masses[0] + masses[1]
        return value / torch.where(mass != 0, mass, torch.ones((), device=self._device))

    def distance(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """See Arithmetic."""
        return (first - second).abs()

    def magnitudes(self, delta: torch.Tensor, *, factor: float) -> Magnitudes:
        """See Arithmetic."""
        found: Magnitudes = (delta * self._number(factor)).abs().reshape(-1).cpu().numpy()
        return found

    def between(self, delta: torch.Tensor, *, factor: float, low: float, high: float) -> Between:
        """See Arithmetic."""
        magnitude = (delta * self._number(factor)).abs()
        above = magnitude > self._number(high)
        values: Magnitudes = magnitude[(magnitude >= self._number(low)) & ~above].cpu().numpy()
        return Between(values=values, above=int(above.sum()), nonzero=int((magnitude > 0).sum()))

    def count_upper_bits(self, delta: torch.Tensor, counts: Counts, *, factor: float) -> None:
        """See Arithmetic."""
        counts += self._counts(self._magnitude_bits(delta, factor) >> 16, UPPER_BINS)

    def count_lower_bits(self, delta: torch.Tensor, counts: Counts, *, factor: float, bin_: int) -> None:
        """See Arithmetic."""
        bits = self._magnitude_bits(delta, factor)
        counts += self._counts(bits[bits >> 16 == bin_] & 0xFFFF, LOWER_BINS)

    def magnitude_sums(self, delta: torch.Tensor) -> list[float]:
        """See Arithmetic."""
        return list(delta.abs().double().sum(dim=1).tolist())

    def product_sums(self, first: torch.Tensor, second: torch.Tensor) -> list[float]:
        """See Arithmetic."""
        return list((first.double() * second.double()).sum(dim=1).tolist())

    def meet(self, first: torch.Tensor, second: torch.Tensor) -> Meeting:
        """See Arithmetic."""
        in_first, in_second = first != 0, second != 0
        opposed = ((first > 0) & (second < 0)) | ((first < 0) & (second > 0))
        counts = torch.stack([in_first.sum(), in_second.sum(), (in_first & in_second).sum(), opposed.sum()]).tolist()
        return Meeting(first=counts[0], second=counts[1], both=counts[2], opposed=counts[3])

    def decode(self, base: bytes | memoryview, dtype: str, rows: Rows) -> torch.Tensor:
        """See Arithmetic."""
        return self._bits(base, dtype).view(_DTYPES[dtype]).float().reshape(rows.height, rows.columns)

    def add(self, base: bytes | memoryview, dtype: str, delta: torch.Tensor, out: memoryview) -> Added:
        """See Arithmetic."""
        before = self._bits(base, dtype)
        values, change = before.view(_DTYPES[dtype]), delta.reshape(-1)
        sums = (values.float() + change).to(_DTYPES[dtype]).view(_BITS[dtype])
        kept, quiet = _QUIET_NAN[dtype]
        sums = torch.where(values.isnan(), (before & kept) | quiet, sums)
        is_zero = change == 0
        after = torch.where(is_zero, before, sums)
        exponent = _EXPONENTS[dtype]
        not_finite = ((after & exponent) == exponent) & ((before & exponent) != exponent)
        counts = torch.stack([is_zero.sum(), (after == before).sum(), not_finite.sum()]).tolist()
        out[:] = memoryview(after.cpu().numpy()).cast("B")
        return Added(zero=counts[0], unchanged=counts[1], not_finite=counts[2])

    def _number(self, value: float) -> torch.Tensor:
        return torch.tensor(value, dtype=torch.float32, device=self._device)

    def _where(self, stays: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        return torch.where(stays, values, torch.zeros((), device=self._device))

    def _bits(self, content: bytes | memoryview, dtype: str) -> torch.Tensor:
        copied = np.frombuffer(content, np.uint8).copy()
        return torch.from_numpy(copied).to(self._device).view(_BITS[dtype])

    def _magnitude_bits(self, delta: torch.Tensor, factor: float) -> torch.Tensor:
        return (delta * self._number(factor)).reshape(-1).view(torch.int32) & 0x7FFFFFFF

    @staticmethod
    def _counts(places: torch.Tensor, bins: int) -> Counts:
        found: Counts = torch.bincount(places, minlength=bins).cpu().numpy()
        return found

    def _random_32_bits(self, delta: torch.Tensor, key: int, start: int) -> torch.Tensor:
        """Of each entry, see `masks`, as int64."""
        index = torch.arange(start + 1, start + 1 + delta.numel(), dtype=torch.int64, device=self._device)
        mixed = index * _wrapped(_GAMMA) + _wrapped(key)
        mixed = (mixed ^ _shifted(mixed, 30)) * _wrapped(_FIRST_FACTOR)
        mixed = (mixed ^ _shifted(mixed, 27)) * _wrapped(_SECOND_FACTOR)
        return _shifted(mixed ^ _shifted(mixed, 31), 32).reshape(delta.shape)


def _wrapped(number: int) -> int:
    """The signed number of the same 64 bits."""
    return number - 2**64 if number >= 2**63 else number


def _shifted(numbers: torch.Tensor, places: int) -> torch.Tensor:
    return (numbers >> places) & ((1 << (64 - places)) - 1)

"""The merge's arithmetic on CPU, by the kernels."""

import numpy as np

from paft_trainer.adapters import Factors
from paft_trainer.merge.arithmetic import Added, Between, Counts, Election, Magnitudes, Meeting
from paft_trainer.merge.kernels import combining, measuring, products, rounding, sparsifying
from paft_trainer.merge.masks import draw_threshold
from paft_trainer.merge.rows import Rows

Array = np.ndarray[tuple[int, int], np.dtype[np.float32]]

_BITS = {"BF16": np.uint16, "F16": np.uint16, "F32": np.uint32}
_ADD = {"BF16": rounding.add_to_bf16, "F16": rounding.add_to_fp16, "F32": rounding.add_to_fp32}
_DECODE = {"BF16": rounding.decode_bf16, "F16": rounding.decode_fp16}


class CpuArithmetic:
    """`Arithmetic` over numpy arrays. Any number of threads may use it at once."""

    def delta(self, factors: Factors | None, rows: Rows) -> Array:
        """scale·B·A for these rows."""
        if factors is None:
            return np.zeros((rows.height, rows.columns), np.float32)
        out = np.empty((rows.height, rows.columns), np.float32)
        products.delta_rows(
            factors.b[rows.start : rows.stop].numpy(), factors.a.numpy(), np.float32(factors.scale), out
        )
        return out

    def keep_band(self, delta: Array, *, factor: float, low: float, high: float) -> Array:
        """See Arithmetic."""
        out = np.empty_like(delta)
        sparsifying.keep_band(_flat(delta), np.float32(factor), np.float32(low), np.float32(high), _flat(out))
        return out

    def keep_far(self, first: Array, second: Array, *, low: float) -> tuple[Array, Array]:
        """See Arithmetic."""
        outs = np.empty_like(first), np.empty_like(second)
        sparsifying.keep_far(_flat(first), _flat(second), np.float32(low), *map(_flat, outs))
        return outs

    def keep_drawn(self, delta: Array, *, key: int, start: int, density: float) -> Array:
        """See Arithmetic."""
        out = np.empty_like(delta)
        threshold = np.uint64(draw_threshold(density))
        sparsifying.keep_drawn(_flat(delta), np.uint64(key), np.uint64(start), threshold, _flat(out))
        return out

    def keep_drawn_by_rank(
        self, delta: Array, *, key: int, start: int, density: float, epsilon: float, rescales: bool
    ) -> Array:
        """See Arithmetic."""
        out = np.empty_like(delta)
        least, spread = np.float64(density - epsilon), np.float64(2 * epsilon)
        sparsifying.keep_drawn_by_rank(delta, np.uint64(key), np.uint64(start), least, spread, rescales, out)
        return out

    def weighted_sum(self, first: Array, second: Array, factors: tuple[float, float]) -> Array:
        """See Arithmetic."""
        out = np.empty_like(first)
        combining.weighted_sum(_flat(first), _flat(second), *map(np.float32, factors), _flat(out))
        return out

    def elect(self, first: Array, second: Array, election: Election) -> Array:
        """See Arithmetic."""
        out = np.empty_like(first)
        votes, factors, masses = (
            np.array(pair, np.float32) for pair in (election.votes, election.factors, election.masses or (0.0, 0.0))
        )
        normalizes, positive = election.masses is not None, election.balance_is_positive
        combining.elect(_flat(first), _flat(second), votes, factors, masses, normalizes, positive, _flat(out))
        return out

    def distance(self, first: Array, second: Array) -> Array:
        """See Arithmetic."""
        out = np.empty_like(first)
        measuring.distances(_flat(first), _flat(second), _flat(out))
        return out

    def magnitudes(self, delta: Array, *, factor: float) -> Magnitudes:
        """See Arithmetic."""
        with np.errstate(over="ignore"):
            return np.abs(_flat(delta) * np.float32(factor))

    def between(self, delta: Array, *, factor: float, low: float, high: float) -> Between:
        """See Arithmetic."""
        values = np.empty(delta.size + 1, np.float32)
        bounds = np.float32(factor), np.float32(low), np.float32(high)
        above, nonzero, found = measuring.collect_between(_flat(delta), *bounds, values)
        return Between(values=values[:found].copy(), above=above, nonzero=nonzero)

    def count_upper_bits(self, delta: Array, counts: Counts, *, factor: float) -> None:
        """See Arithmetic."""
        measuring.count_upper_bits(_flat(delta), np.float32(factor), counts)

    def count_lower_bits(self, delta: Array, counts: Counts, *, factor: float, bin_: int) -> None:
        """See Arithmetic."""
        measuring.count_lower_bits(_flat(delta), np.float32(factor), bin_, counts)

    def magnitude_sums(self, delta: Array) -> list[float]:
        """See Arithmetic."""
        sums = np.empty(delta.shape[0], np.float64)
        measuring.magnitude_sums(delta, sums)
        return sums.tolist()

    def product_sums(self, first: Array, second: Array) -> list[float]:
        """See Arithmetic."""
        sums = np.empty(first.shape[0], np.float64)
        measuring.product_sums(first, second, sums)
        return sums.tolist()

    def meet(self, first: Array, second: Array) -> Meeting:
        """See Arithmetic."""
        in_first, in_second, in_both, opposed = measuring.meet(_flat(first), _flat(second))
        return Meeting(first=in_first, second=in_second, both=in_both, opposed=opposed)

    def decode(self, base: bytes | memoryview, dtype: str, rows: Rows) -> Array:
        """See Arithmetic."""
        bits = np.frombuffer(base, _BITS[dtype])
        if dtype == "F32":
            return bits.view(np.float32).reshape(rows.height, rows.columns)
        out = np.empty((rows.height, rows.columns), np.float32)
        _DECODE[dtype](bits, _flat(out))
        return out

    def add(self, base: bytes | memoryview, dtype: str, delta: Array, out: memoryview) -> Added:
        """See Arithmetic."""
        bits, merged = (np.frombuffer(content, _BITS[dtype]) for content in (base, out))
        zero, unchanged, not_finite = _ADD[dtype](bits, _flat(delta), merged)
        return Added(zero=zero, unchanged=unchanged, not_finite=not_finite)


def _flat(array: Array) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    return array.reshape(-1)

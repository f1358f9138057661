"""What whole tensors are asked for: counts by magnitude, sums along rows, and how two deltas meet."""

import numpy as np

from paft_trainer.merge.kernels.compilation import kernel

LANES = 16
"""Partial sums of a row, so that it is summed by vectors and still in one order."""


@kernel
def count_upper_bits(delta, factor, counts):
    """Add each entry of |delta·factor| to the bin of its upper 16 bits; `counts`: int64 [32768]. fp32, flat."""
    for j in range(delta.size):
        bits = np.float32(delta[j] * factor).view(np.uint32)
        counts[np.uint32(bits >> np.uint32(16)) & np.uint32(0x7FFF)] += 1


@kernel
def count_lower_bits(delta, factor, bin_, counts):
    """Count entries of one such bin by their lower 16 bits; `counts`: int64 [65536]. fp32, flat."""
    wanted = np.uint32(bin_)
    for j in range(delta.size):
        bits = np.uint32(np.float32(delta[j] * factor).view(np.uint32) & np.uint32(0x7FFFFFFF))
        if np.uint32(bits >> np.uint32(16)) == wanted:
            counts[bits & np.uint32(0xFFFF)] += 1


@kernel
def distances(first, second, out):
    """|first − second|. fp32, flat."""
    for j in range(first.size):
        out[j] = abs(first[j] - second[j])


@kernel
def magnitude_sums(delta, sums):
    """Σ|entry| of each row of `delta` fp32 [rows, columns], in float64, to `sums` [rows]."""
    lanes = np.zeros(LANES, np.float64)
    for i in range(delta.shape[0]):
        lanes[:] = 0.0
        row = delta[i]
        whole = row.size - row.size % LANES
        for j in range(0, whole, LANES):
            for lane in range(LANES):
                lanes[lane] += np.float64(abs(row[j + lane]))
        for j in range(whole, row.size):
            lanes[j - whole] += np.float64(abs(row[j]))
        total = 0.0
        for lane in range(LANES):
            total += lanes[lane]
        sums[i] = total


@kernel
def product_sums(first, second, sums):
    """Σ first·second of each row of two fp32 [rows, columns], in float64, to `sums` [rows]."""
    lanes = np.zeros(LANES, np.float64)
    for i in range(first.shape[0]):
        lanes[:] = 0.0
        a, b = first[i], second[i]
        whole = a.size - a.size % LANES
        for j in range(0, whole, LANES):
            for lane in range(LANES):
                lanes[lane] += np.float64(a[j + lane]) * np.float64(b[j + lane])
        for j in range(whole, a.size):
            lanes[j - whole] += np.float64(a[j]) * np.float64(b[j])
        total = 0.0
        for lane in range(LANES):
            total += lanes[lane]
        sums[i] = total


@kernel
def meet(first, second):
    """How many entries of `first`, of `second`, of both are not 0, and how many of those differ in sign. fp32, flat."""
    zero = np.float32(0)
    in_first, in_second, in_both, opposed = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    for j in range(first.size):
        a, b = first[j], second[j]
        in_first += a != zero
        in_second += b != zero
        in_both += (a != zero) & (b != zero)
        opposed += ((a > zero) & (b < zero)) | ((a < zero) & (b > zero))
    return in_first, in_second, in_both, opposed

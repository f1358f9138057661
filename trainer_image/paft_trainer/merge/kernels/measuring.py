"""What whole tensors are asked for: counts by magnitude, sums along rows, and how two deltas meet."""

import numpy as np

from paft_trainer.merge.kernels.compilation import kernel

SEGMENT = 64
"""Entries that are counted together before any is looked at alone."""
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
def collect_between(delta, factor, low, high, values):
    """Counts of |delta·factor| above `high`, of those above 0, and of those in [low, high], which go to `values`.

    fp32, flat; `values` has one place more than the delta has entries. Few are meant to lie between: parts without any
    are passed over by vectors.
    """
    zero = np.float32(0)
    above, nonzero, found = np.int64(0), np.int64(0), 0
    whole = delta.size - delta.size % SEGMENT
    for start in range(0, whole, SEGMENT):
        segment = delta[start : start + SEGMENT]
        over, reached, present = np.int32(0), np.int32(0), np.int32(0)
        for j in range(SEGMENT):
            magnitude = abs(segment[j] * factor)
            over += np.int32(magnitude > high)
            reached += np.int32(magnitude >= low)
            present += np.int32(magnitude > zero)
        above += over
        nonzero += present
        if reached > over:
            for j in range(SEGMENT):
                magnitude = abs(segment[j] * factor)
                values[found] = magnitude
                found += (magnitude >= low) & (magnitude <= high)
    for j in range(whole, delta.size):
        magnitude = abs(delta[j] * factor)
        above += magnitude > high
        nonzero += magnitude > zero
        if (magnitude >= low) & (magnitude <= high):
            values[found] = magnitude
            found += 1
    return above, nonzero, found


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

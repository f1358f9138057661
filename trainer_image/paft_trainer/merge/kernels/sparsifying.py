"""What a delta loses before arms meet."""

import numpy as np

from paft_trainer.merge.kernels.compilation import inlined, kernel

GAMMA = np.uint64(0x9E3779B97F4A7C15)
FIRST_FACTOR = np.uint64(0xBF58476D1CE4E5B9)
SECOND_FACTOR = np.uint64(0x94D049BB133111EB)
DIGIT_BITS = 11
"""Bits that are sorted by at once: three times for a magnitude's 31."""


@kernel
def keep_band(delta, factor, low, high, out):
    """Entries of which |entry·factor| lies in [low, high] stay, the others become 0. All fp32, arrays flat."""
    zero = np.float32(0)
    for j in range(delta.size):
        magnitude = abs(delta[j] * factor)
        out[j] = delta[j] if (magnitude >= low) & (magnitude <= high) else zero


@kernel
def keep_far(first, second, low, first_out, second_out):
    """Entries stay in both where |first − second| is at least `low`. All fp32, arrays flat."""
    zero = np.float32(0)
    for j in range(first.size):
        stays = abs(first[j] - second[j]) >= low
        first_out[j] = first[j] if stays else zero
        second_out[j] = second[j] if stays else zero


@inlined
def random_32_bits(key, index):
    """SplitMix64's output for one entry, the upper half, as uint64. `key`, `index`: uint64."""
    mixed = key + (index + np.uint64(1)) * GAMMA
    mixed = (mixed ^ (mixed >> np.uint64(30))) * FIRST_FACTOR
    mixed = (mixed ^ (mixed >> np.uint64(27))) * SECOND_FACTOR
    return (mixed ^ (mixed >> np.uint64(31))) >> np.uint64(32)


@kernel
def keep_drawn(delta, key, start, threshold, out):
    """Entries stay whose number is below `threshold`, uint64. `delta` fp32, flat; `start`: its first entry's index."""
    zero = np.float32(0)
    for j in range(delta.size):
        number = random_32_bits(key, np.uint64(start + np.uint64(j)))
        out[j] = delta[j] if number < threshold else zero


@kernel
def keep_drawn_by_rank(delta, key, start, least, spread, rescales, out):
    """Entries stay with a probability that rises along each row from `least` by `spread` with their rank in magnitude.

    `delta` fp32 [rows, columns]; equal magnitudes are ranked by index. `rescales`: what stays is divided by its
    probability.
    """
    zero, one = np.float32(0), np.float32(1)
    rows, columns = delta.shape
    step = spread / np.float64(max(columns - 1, 1))
    orders = np.empty((2, columns), np.int32)
    counts = np.empty(1 << DIGIT_BITS, np.int32)
    for i in range(rows):
        order = _ranked(delta[i], orders, counts)
        for rank in range(columns):
            j = order[rank]
            probability = least + step * np.float64(rank)
            number = random_32_bits(key, np.uint64(start + np.uint64(i * columns + j)))
            stays = np.float64(number) < probability * np.float64(4294967296.0)
            factor = np.float32(one / np.float32(probability)) if rescales else one
            out[i, j] = delta[i, j] * factor if stays else zero


@kernel
def _ranked(row, orders, counts):
    """Indices of a row's entries by their magnitude, ascending and stable: a radix sort of its 31 bits.

    `orders` int32 [2, columns] and `counts` int32 [2 ** DIGIT_BITS] are for its use; the answer is one of `orders`.
    """
    order, other = orders[0], orders[1]
    for j in range(row.size):
        order[j] = j
    for shift in range(0, 31, DIGIT_BITS):
        counts[:] = 0
        for j in range(row.size):
            counts[_digit(row[j], shift)] += 1
        first = np.int32(0)
        for digit in range(counts.size):
            count = counts[digit]
            counts[digit] = first
            first += count
        for place in range(row.size):
            j = order[place]
            digit = _digit(row[j], shift)
            other[counts[digit]] = j
            counts[digit] += 1
        order, other = other, order
    return order


@inlined
def _digit(value, shift):
    magnitude = np.uint32(np.float32(value).view(np.uint32) & np.uint32(0x7FFFFFFF))
    return np.uint32(magnitude >> np.uint32(shift)) & np.uint32((1 << DIGIT_BITS) - 1)

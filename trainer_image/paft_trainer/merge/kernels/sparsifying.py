"""What a delta loses before arms meet."""

import numpy as np

from paft_trainer.merge.kernels.compilation import inlined, kernel

GAMMA = np.uint64(0x9E3779B97F4A7C15)
FIRST_FACTOR = np.uint64(0xBF58476D1CE4E5B9)
SECOND_FACTOR = np.uint64(0x94D049BB133111EB)


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
    for i in range(rows):
        order = np.argsort(np.abs(delta[i]), kind="mergesort")
        for rank in range(columns):
            j = order[rank]
            probability = least + step * np.float64(rank)
            number = random_32_bits(key, np.uint64(start + np.uint64(i * columns + j)))
            stays = np.float64(number) < probability * np.float64(4294967296.0)
            factor = np.float32(one / np.float32(probability)) if rescales else one
            out[i, j] = delta[i, j] * factor if stays else zero

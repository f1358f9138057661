"""ΔW = scale·B·A of some rows, and the inner products of factors.

Each product and each sum of a delta is rounded to fp32 by itself, in the order of r. A BLAS product would be as fast,
but its bits depend on the shape of the call, on the number of threads and on the processor.
"""

import numpy as np

from paft_trainer.merge.kernels.compilation import kernel


@kernel
def delta_rows(b, a, scale, out):
    """`b` [rows, r], `a` [r, columns], `scale` fp32 → `out` [rows, columns], all fp32.

    Two rows and eight ranks at a time keep the vector units busy. Zeros of B are skipped where all sixteen are zero:
    adding 0·a changes no bit of a sum that began with +0.
    """
    rows, rank = b.shape
    columns = a.shape[1]
    zero = np.float32(0)
    for first in range(0, rows - 1, 2):
        upper, lower = out[first], out[first + 1]
        for j in range(columns):
            upper[j] = zero
            lower[j] = zero
        k = 0
        while k + 8 <= rank:
            _add_eight_of_two(b[first], b[first + 1], a, k, upper, lower)
            k += 8
        while k < rank:
            _add_one(b[first, k], a[k], upper)
            _add_one(b[first + 1, k], a[k], lower)
            k += 1
    if rows % 2 == 1:
        last = out[rows - 1]
        for j in range(columns):
            last[j] = zero
        for k in range(rank):
            _add_one(b[rows - 1, k], a[k], last)
    for i in range(rows):
        row = out[i]
        for j in range(columns):
            row[j] *= scale


@kernel
def _add_eight_of_two(b0, b1, a, k, upper, lower):
    f0, f1, f2, f3, f4, f5, f6, f7 = b0[k], b0[k + 1], b0[k + 2], b0[k + 3], b0[k + 4], b0[k + 5], b0[k + 6], b0[k + 7]
    g0, g1, g2, g3, g4, g5, g6, g7 = b1[k], b1[k + 1], b1[k + 2], b1[k + 3], b1[k + 4], b1[k + 5], b1[k + 6], b1[k + 7]
    biggest = max(max(abs(f0), abs(f1), abs(f2), abs(f3)), max(abs(f4), abs(f5), abs(f6), abs(f7)))
    biggest = max(biggest, max(abs(g0), abs(g1), abs(g2), abs(g3)), max(abs(g4), abs(g5), abs(g6), abs(g7)))
    if biggest == 0:
        return
    a0, a1, a2, a3, a4, a5, a6, a7 = a[k], a[k + 1], a[k + 2], a[k + 3], a[k + 4], a[k + 5], a[k + 6], a[k + 7]
    for j in range(a0.size):
        x0, x1, x2, x3, x4, x5, x6, x7 = a0[j], a1[j], a2[j], a3[j], a4[j], a5[j], a6[j], a7[j]
        u = (((upper[j] + f0 * x0) + f1 * x1) + f2 * x2) + f3 * x3
        upper[j] = (((u + f4 * x4) + f5 * x5) + f6 * x6) + f7 * x7
        v = (((lower[j] + g0 * x0) + g1 * x1) + g2 * x2) + g3 * x3
        lower[j] = (((v + g4 * x4) + g5 * x5) + g6 * x6) + g7 * x7


@kernel
def _add_one(factor, row, total):
    if factor == 0:
        return
    for j in range(row.size):
        total[j] += factor * row[j]


@kernel
def gram(left, right):
    """Inner products of all columns of `left` [n, m] with those of `right` [n, k], both fp32, as float64 [m, k].

    Each is summed in the order of n; products of one row are computed side by side.
    """
    products = np.zeros((left.shape[1], right.shape[1]), np.float64)
    for n in range(left.shape[0]):
        row = right[n]
        for i in range(left.shape[1]):
            factor = np.float64(left[n, i])
            total = products[i]
            for j in range(row.size):
                total[j] += factor * np.float64(row[j])
    return products

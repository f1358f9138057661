"""The subspace in which a matrix of many rows has most of its length: products with few columns, and what
orthonormalises and diagonalises them.

In float64 and in one order each, so that an adapter has the same bytes on every machine; LAPACK's and BLAS's bits
depend on the processor and the number of threads.
"""

import numpy as np

from paft_trainer.merge.kernels.compilation import inlined, kernel
from paft_trainer.merge.kernels.sparsifying import random_32_bits

LANES = 8
TILE = 64
"""Columns whose products with all directions stay in a core's first cache."""


@kernel
def signs(key, out):
    """Random signs of SplitMix64 as ±1; `key`: uint64, `out`: float64 [rows, columns]."""
    columns = out.shape[1]
    for i in range(out.shape[0]):
        for j in range(columns):
            number = random_32_bits(key, np.uint64(i * columns + j))
            out[i, j] = 1.0 if number < np.uint64(0x80000000) else -1.0


@kernel
def project(delta, directions, out):
    """`delta` fp32 [rows, columns] · `directions` [columns, l] → `out` [rows, l], both float64.

    Each sum runs over the columns in their order; rows are taken four by four within tiles of directions.
    """
    rows, columns = delta.shape
    out[:, :] = 0.0
    for first in range(0, columns, TILE):
        last = min(first + TILE, columns)
        i = 0
        while i + 4 <= rows:
            project_four_rows(delta[i : i + 4], directions, out[i : i + 4], first, last)
            i += 4
        while i < rows:
            for j in range(first, last):
                add_multiple(np.float64(delta[i, j]), directions[j], out[i])
            i += 1


@kernel
def project_four_rows(delta, directions, out, first, last):
    """`project` for four rows and the columns from `first` to `last`."""
    r0, r1, r2, r3 = delta[0], delta[1], delta[2], delta[3]
    t0, t1, t2, t3 = out[0], out[1], out[2], out[3]
    j = first
    while j + 2 <= last:
        a0, a1, a2, a3 = np.float64(r0[j]), np.float64(r1[j]), np.float64(r2[j]), np.float64(r3[j])
        b0, b1, b2, b3 = np.float64(r0[j + 1]), np.float64(r1[j + 1]), np.float64(r2[j + 1]), np.float64(r3[j + 1])
        x, y = directions[j], directions[j + 1]
        for k in range(x.size):
            u, v = x[k], y[k]
            t0[k] = (t0[k] + a0 * u) + b0 * v
            t1[k] = (t1[k] + a1 * u) + b1 * v
            t2[k] = (t2[k] + a2 * u) + b2 * v
            t3[k] = (t3[k] + a3 * u) + b3 * v
        j += 2
    while j < last:
        for i in range(4):
            add_multiple(np.float64(delta[i, j]), directions[j], out[i])
        j += 1


@kernel
def add_back_projection(delta, images, out):
    """`delta`ᵀ [columns, rows], fp32, · `images` [rows, l] is added to `out` [columns, l], both float64.

    Each sum runs over the rows in their order; a tile of `out` takes all rows before the next.
    """
    rows, columns = delta.shape
    width = images.shape[1]
    for first in range(0, columns, TILE):
        last = min(first + TILE, columns)
        i = 0
        while i + 4 <= rows:
            r0, r1, r2, r3 = delta[i], delta[i + 1], delta[i + 2], delta[i + 3]
            y0, y1, y2, y3 = images[i], images[i + 1], images[i + 2], images[i + 3]
            for j in range(first, last):
                d0, d1, d2, d3 = np.float64(r0[j]), np.float64(r1[j]), np.float64(r2[j]), np.float64(r3[j])
                total = out[j]
                for k in range(width):
                    total[k] = (((total[k] + d0 * y0[k]) + d1 * y1[k]) + d2 * y2[k]) + d3 * y3[k]
            i += 4
        while i < rows:
            for j in range(first, last):
                add_multiple(np.float64(delta[i, j]), images[i], out[j])
            i += 1


@inlined
def add_multiple(factor, row, total):
    """factor·row is added to `total`, float64 [l]."""
    for k in range(row.size):
        total[k] += factor * row[k]


@kernel
def orthonormalize(rows):
    """Gram–Schmidt, twice for each row of float64 [l, n], in place; rows that depend on those before them become 0."""
    lanes = np.empty(LANES, np.float64)
    for i in range(rows.shape[0]):
        before = np.sqrt(dot(rows[i], rows[i], lanes))
        for _ in range(2):
            for k in range(i):
                share = dot(rows[k], rows[i], lanes)
                for j in range(rows.shape[1]):
                    rows[i, j] -= share * rows[k, j]
        after = np.sqrt(dot(rows[i], rows[i], lanes))
        factor = 1.0 / after if after > 1e-12 * before else 0.0
        for j in range(rows.shape[1]):
            rows[i, j] *= factor


@kernel
def gram_of_columns(images, out):
    """`images`ᵀ · `images`, float64 [rows, l] → `out` [l, l]."""
    width = images.shape[1]
    for m in range(width):
        for k in range(width):
            out[m, k] = 0.0
    for i in range(images.shape[0]):
        row = images[i]
        for m in range(width):
            factor, total = row[m], out[m]
            for k in range(width):
                total[k] += factor * row[k]


@kernel
def diagonalize(matrix, vectors):
    """Cyclic Jacobi rotations of a symmetric float64 [l, l]: its diagonal becomes the eigenvalues, the columns of
    `vectors` their eigenvectors (Golub and Van Loan, section 8.5)."""
    width = matrix.shape[0]
    for m in range(width):
        for k in range(width):
            vectors[m, k] = 1.0 if m == k else 0.0
    for _ in range(30):
        if not has_rotated(matrix, vectors):
            return


@kernel
def has_rotated(matrix, vectors):
    """One sweep over all pairs; whether any was not yet orthogonal."""
    width = matrix.shape[0]
    rotated = False
    for p in range(width - 1):
        for q in range(p + 1, width):
            between = matrix[p, q]
            if abs(between) <= 1e-15 * np.sqrt(abs(matrix[p, p] * matrix[q, q])):
                continue
            rotated = True
            slope = (matrix[q, q] - matrix[p, p]) / (2.0 * between)
            tangent = (1.0 if slope >= 0 else -1.0) / (abs(slope) + np.sqrt(1.0 + slope * slope))
            cosine = 1.0 / np.sqrt(1.0 + tangent * tangent)
            sine = tangent * cosine
            for k in range(width):
                a, b = matrix[k, p], matrix[k, q]
                matrix[k, p], matrix[k, q] = cosine * a - sine * b, sine * a + cosine * b
            for k in range(width):
                a, b = matrix[p, k], matrix[q, k]
                matrix[p, k], matrix[q, k] = cosine * a - sine * b, sine * a + cosine * b
                a, b = vectors[k, p], vectors[k, q]
                vectors[k, p], vectors[k, q] = cosine * a - sine * b, sine * a + cosine * b
    return rotated


@inlined
def dot(left, right, lanes):
    """Inner product in a fixed order; `lanes`: float64 [LANES], overwritten."""
    lanes[:] = 0.0
    whole = left.size - left.size % LANES
    for j in range(0, whole, LANES):
        for lane in range(LANES):
            lanes[lane] += left[j + lane] * right[j + lane]
    for j in range(whole, left.size):
        lanes[j - whole] += left[j] * right[j]
    total = 0.0
    for lane in range(LANES):
        total += lanes[lane]
    return total

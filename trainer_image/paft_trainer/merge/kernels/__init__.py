"""The merge's arithmetic on CPU, compiled by Numba: one pass over memory each, vectorised, without the GIL.

Nothing here may depend on how a tensor is cut: entries are computed alone, sums run along one row in a fixed order.
Products and sums are rounded one by one (no fused multiply-add, no fast-math), so that every processor gives the same
bits.
"""

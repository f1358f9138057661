"""Two deltas become one."""

import numpy as np

from paft_trainer.merge.kernels.compilation import kernel


@kernel
def weighted_sum(first, second, first_factor, second_factor, out):
    """Σ factorᵢ·deltaᵢ. All fp32, arrays flat."""
    for j in range(first.size):
        out[j] = first[j] * first_factor + second[j] * second_factor


@kernel
def elect(first, second, votes, factors, masses, normalizes, balance_is_positive, out):
    """Signs are elected by Σ votesᵢ·deltaᵢ; of the arms that agree, Σ factorᵢ·deltaᵢ, divided by Σ massᵢ.

    `votes`, `factors`, `masses`: fp32 [2]. `normalizes`: whether it is divided; a sum of masses of 0 divides by 1.
    `balance_is_positive`: votes in exact balance elect plus, else nothing.
    """
    zero, one = np.float32(0), np.float32(1)
    v0, v1, f0, f1, m0, m1 = votes[0], votes[1], factors[0], factors[1], masses[0], masses[1]
    for j in range(first.size):
        a, b = first[j] * v0, second[j] * v1
        total = a + b
        plus = (total > zero) | (balance_is_positive & (total == zero))
        minus = total < zero
        first_agrees = (plus & (a > zero)) | (minus & (a < zero))
        second_agrees = (plus & (b > zero)) | (minus & (b < zero))
        value = (first[j] * f0 if first_agrees else zero) + (second[j] * f1 if second_agrees else zero)
        mass = (m0 if first_agrees else zero) + (m1 if second_agrees else zero)
        divisor = mass if normalizes & (mass != zero) else one
        out[j] = value / divisor

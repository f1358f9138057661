"""Spherical linear interpolation between the two deltas (Shoemake 1985, doi 10.1145/325334.325242).

From τ₁ to τ₂ by t = w₂ / (w₁ + w₂) along the arc between them: sin((1−t)Ω)/sin Ω · τ₁ + sin(tΩ)/sin Ω · τ₂, where Ω is
the angle between the deltas of a whole tensor. As in mergekit their lengths stay in, and deltas that are nearly
parallel or opposite, or of which one is 0, are interpolated linearly.
"""

import math
from collections.abc import Sequence

LINEAR_FROM = 0.9995
"""|cos Ω| from which the arc is taken for a line, as in mergekit."""


def slerp_weights(weights: Sequence[float], *, squares: Sequence[float], product: float) -> list[float]:
    """Factors of the two deltas. `squares`: their squared lengths; `product`: their inner product; of whole tensors."""
    first, second = weights
    t = second / (first + second)
    lengths = math.sqrt(squares[0]) * math.sqrt(squares[1])
    cosine = max(-1.0, min(1.0, product / lengths)) if lengths > 0 else 1.0
    if abs(cosine) > LINEAR_FROM:
        return [1.0 - t, t]
    angle = math.acos(cosine)
    return [math.sin((1.0 - t) * angle) / math.sin(angle), math.sin(t * angle) / math.sin(angle)]

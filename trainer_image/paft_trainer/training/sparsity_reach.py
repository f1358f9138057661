"""How sparse A can become at most: no threshold exceeds the learning rate, and A starts away from zero."""

from collections.abc import Callable, Iterable

from paft_trainer.training.proximal_adamw import ramp_at

_POINTS = 4096
"""Steps of a schedule that are looked at."""


def shrinkage(learning_rate_at: Callable[[int], float], *, total_steps: int, ramp_steps: float) -> float:
    """Σ lr_t · ramp_t: how far a weight can shrink in all. `learning_rate_at`: of a step, counted from 0."""
    stride = -(-total_steps // _POINTS)
    steps = range(0, total_steps, stride)
    mean = sum(learning_rate_at(step) * ramp_at(step + 1, ramp_steps) for step in steps) / len(steps)
    return mean * total_steps


def reach_of_a(fan_ins: Iterable[tuple[int, int]], shrunk: float) -> float:
    """The share of all entries of A that can become zero, from 0 to 1.

    `fan_ins`: input features and number of entries of each matrix. PEFT starts A as Kaiming does, evenly between
    ±1/√fan_in, so a weight that shrinks by `shrunk` in all brings min(1, √fan_in · shrunk) of a matrix to zero.
    """
    matrices = list(fan_ins)
    reachable = sum(entries * min(1.0, fan_in**0.5 * shrunk) for fan_in, entries in matrices)
    return reachable / sum(entries for _, entries in matrices)

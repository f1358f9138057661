"""Merges of which each merged delta is f₁τ₁ + f₂τ₂, with factors that the whole tensor tells."""

from paft_trainer.merge.method import Method, TensorArms
from paft_trainer.merge.methods.slerp import Slerp
from paft_trainer.merge.sums_of_deltas import SumOfDeltas


def combination(method: Method, tensor: TensorArms) -> tuple[float, float] | None:
    """f₁ and f₂ of one tensor; None for a method whose merged delta is no such sum."""
    match method:
        case SumOfDeltas():
            return method.factors(tensor)
        case Slerp(takes_whole_weights=False):
            return method.delta_factors(tensor, {})
        case _:
            return None

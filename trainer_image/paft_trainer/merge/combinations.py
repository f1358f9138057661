"""Merges of which each merged delta is f₁τ₁ + f₂τ₂, with factors that the whole tensor tells."""

from paft_trainer.merge.method import Method, TensorArms
from paft_trainer.merge.methods.linear import Linear
from paft_trainer.merge.methods.model_stock import ModelStock
from paft_trainer.merge.methods.one_arm import OneArm
from paft_trainer.merge.methods.slerp import Slerp
from paft_trainer.merge.methods.task_arithmetic import TaskArithmetic


def combination(method: Method, tensor: TensorArms) -> tuple[float, float] | None:
    """f₁ and f₂ of one tensor; None for a method whose merged delta is no such sum."""
    match method:
        case Linear() | TaskArithmetic() | OneArm() | ModelStock():
            return method.factors(tensor)
        case Slerp(takes_whole_weights=False):
            return method.delta_factors(tensor, {})
        case _:
            return None

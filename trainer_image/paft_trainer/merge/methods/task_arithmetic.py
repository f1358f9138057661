"""Weighted sum of deltas (arXiv 2212.04089): Σ wᵢ·τᵢ."""

from dataclasses import dataclass

from paft_api.spec.merge_options import MergeOptions
from paft_trainer.merge.method import TensorArms
from paft_trainer.merge.sums_of_deltas import SumOfDeltas


@dataclass(frozen=True)
class TaskArithmetic(SumOfDeltas):
    """Weights act as they are."""

    options: MergeOptions

    def factors(self, tensor: TensorArms) -> tuple[float, float]:
        """What each delta is multiplied with."""
        return tensor.scales[0] * self.options.lambda_, tensor.scales[1] * self.options.lambda_

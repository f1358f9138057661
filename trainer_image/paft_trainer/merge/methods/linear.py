"""Weighted mean of deltas, as model soups average weights (arXiv 2203.05482): Σ wᵢ·τᵢ / Σ wᵢ."""

from dataclasses import dataclass

from paft_api.spec.merge_options import MergeOptions
from paft_trainer.merge.method import TensorArms
from paft_trainer.merge.sums_of_deltas import SumOfDeltas


@dataclass(frozen=True)
class Linear(SumOfDeltas):
    """The weights' sum is never 0: the contract sees to it."""

    options: MergeOptions

    def factors(self, tensor: TensorArms) -> tuple[float, float]:
        """What each delta is multiplied with."""
        share = self.options.lambda_ / sum(tensor.weights)
        return tensor.scales[0] * share, tensor.scales[1] * share

"""Controls: one arm's delta alone, with its weight."""

from dataclasses import dataclass

from paft_api.spec.merge_options import MergeOptions
from paft_trainer.merge.method import TensorArms
from paft_trainer.merge.sums_of_deltas import SumOfDeltas


@dataclass(frozen=True)
class OneArm(SumOfDeltas):
    """`arm`: 0 for SFT, 1 for preference."""

    options: MergeOptions
    arm: int

    def factors(self, tensor: TensorArms) -> tuple[float, float]:
        """What each delta is multiplied with."""
        factor = tensor.weights[self.arm] * self.options.lambda_
        return (factor, 0.0) if self.arm == 0 else (0.0, factor)

"""Model Stock: the mean of the deltas, shortened by the angle between them (arXiv 2403.19522, equation 2).

For two fine-tunings t = 2·cos θ / (1 + cos θ) of the mean stays, of each tensor. Deltas at right angles, as those of
two LoRA adapters often nearly are, leave almost nothing; opposed ones nothing.
"""

from dataclasses import dataclass

from paft_api.spec.merge_options import MergeOptions
from paft_trainer.merge.method import TensorArms
from paft_trainer.merge.sums_of_deltas import SumOfDeltas


@dataclass(frozen=True)
class ModelStock(SumOfDeltas):
    """Weights have no part in it."""

    options: MergeOptions

    def share(self, tensor: TensorArms) -> float:
        """t: how much of the mean stays. Not below 0, but with mergekit's definitions."""
        cosine = tensor.lengths.cosine
        if cosine is None or abs(1 + cosine) < 1e-6:
            return 0.0
        share = 2 * cosine / (1 + cosine)
        return share if self.options.is_mergekit else max(share, 0.0)

    def factors(self, tensor: TensorArms) -> tuple[float, float]:
        """What each delta is multiplied with."""
        factor = self.share(tensor) / 2 * self.options.lambda_
        return factor, factor

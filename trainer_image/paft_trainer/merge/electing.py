"""The election of signs, as the options want it (arXiv 2306.01708, sections 4.2 and 4.3)."""

from paft_api.spec.merge_options import MergeOptions
from paft_trainer.merge.arithmetic import Election
from paft_trainer.merge.method import TensorArms


def election(options: MergeOptions, tensor: TensorArms, rescale: tuple[float, float] = (1.0, 1.0)) -> Election:
    """`rescale`: factors of what dropping left.

    By default the weights act before the election, so that an arm of weight 0 has no vote, and the result is the
    weighted mean over the arms that agree, Σ wᵢτᵢ / Σ |wᵢ|; for equal weights that is the paper's disjoint mean.
    """
    resolved = options.resolved()
    level = tuple(one * other for one, other in zip(tensor.balance, rescale, strict=True))
    values = tuple(weight * one for weight, one in zip(tensor.weights, level, strict=True))
    masses = tensor.weights if options.is_mergekit else tuple(abs(weight) for weight in tensor.weights)
    return Election(
        votes=values if resolved["election"] == "Weighted" else level,
        factors=tuple(options.lambda_ * value for value in values),
        masses=masses if resolved["normalize"] else None,
        balance_is_positive=options.is_mergekit,
    )

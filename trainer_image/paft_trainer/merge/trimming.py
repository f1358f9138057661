"""Trimming: of a delta only entries between two ranks of magnitude stay (arXiv 2306.01708, section 4.1; 2312.06795)."""

from collections.abc import Sequence

from paft_api.spec.merge_options import MergeOptions
from paft_trainer.merge.arithmetic import Arithmetic, Delta
from paft_trainer.merge.method import TensorArms
from paft_trainer.merge.questions import Answers, Stream, Threshold
from paft_trainer.merge.selection import EVERYTHING, NOTHING

STREAMS = (Stream.FIRST, Stream.SECOND)


def bounds(
    options: MergeOptions, tensor: TensorArms, *, removed: float = 0.0
) -> tuple[tuple[Threshold, Threshold], ...]:
    """For each arm the magnitudes of its last and of its first entry that stays.

    `removed`: share of the largest entries that goes. Over the whole model entries count as they are after balancing.
    """
    resolved = options.resolved()
    in_model = str(resolved["balance"]) if resolved["densityScope"] == "Model" else None
    return tuple(
        tuple(
            Threshold(
                stream=stream,
                kept=options.resolved_density,
                removed=removed,
                is_upper=is_upper,
                factor=1.0 if in_model is None else factor,
                in_model=in_model,
            )
            for is_upper in (False, True)
        )
        for stream, factor in zip(STREAMS, tensor.balance, strict=True)
    )


def trim(delta: Delta, ends: Sequence[Threshold], answers: Answers, arithmetic: Arithmetic) -> Delta:
    """What stays. Entries of equal magnitude stay or go together. `ends`: of the last and, where large entries go too,
    of the first entry that stays."""
    low, high = answers[ends[0]][0], answers[ends[1]][0] if len(ends) > 1 else NOTHING
    if low == EVERYTHING and high == NOTHING:
        return delta
    return arithmetic.keep_band(delta, factor=ends[0].factor, low=low, high=high)

"""Merge methods by name. Each is a pure function of the arms' deltas of one tensor (or of the same part of each)."""

from collections.abc import Callable, Sequence

import torch

from paft_api.spec.merge import MergeMethod
from paft_trainer.merge.methods.dare_linear import dare_linear
from paft_trainer.merge.methods.dare_ties import dare_ties
from paft_trainer.merge.methods.linear import linear
from paft_trainer.merge.methods.task_arithmetic import task_arithmetic
from paft_trainer.merge.methods.ties import ties

Method = Callable[[Sequence[torch.Tensor], Sequence[float]], torch.Tensor]
"""(deltas, weights) -> merged delta: fp32 tensors of one shape, one weight per delta."""

METHODS: dict[MergeMethod, Method] = {
    MergeMethod.LINEAR: linear,
    MergeMethod.TASK_ARITHMETIC: task_arithmetic,
    MergeMethod.TIES: ties,
    MergeMethod.DARE_LINEAR: dare_linear,
    MergeMethod.DARE_TIES: dare_ties,
    # A weighted sum too, once the whole tensor has told the weights (paft_trainer.merge.methods.slerp).
    MergeMethod.SLERP: task_arithmetic,
}

TRIMMED = frozenset({MergeMethod.TIES})
"""Methods whose deltas are trimmed to `density` first (see paft_trainer.merge.trimming)."""

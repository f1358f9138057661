"""Two small deltas that meet in every way, and what the trainer's own methods make of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from paft_api.spec.merge_methods import ELECTS_SIGNS, TRIMS, MergeMethod
from paft_api.spec.merge_options import MergeOptions
from paft_trainer.adapters import Factors
from paft_trainer.merge.cpu_arithmetic import CpuArithmetic
from paft_trainer.merge.dropping import Dropping
from paft_trainer.merge.lengths import lengths_of
from paft_trainer.merge.method import TensorArms
from paft_trainer.merge.methods import method_of
from paft_trainer.merge.questions import Answers, Threshold
from paft_trainer.merge.rows import Rows
from paft_trainer.merge.tensor_work import TensorWork
from paft_trainer.merge.trimming import bounds, trim

Entries = np.ndarray[Any, np.dtype[np.float32]]

SFT = (
    *(0.90, -0.22, 0.0, 0.48, 0.10, -0.66, 0.0, 0.31, -0.12, 0.74, 0.0, -0.40),
    *(0.17, 0.58, -0.83, 0.0, 0.26, -0.07, 0.44, 0.0, -0.52, -0.14, 0.36, 0.0),
)
"""The sparse delta, as the L1 penalty leaves it: six of its 24 entries are exact zeros."""
PREFERENCE = (
    *(0.60, -0.50, 0.28, -0.54, -0.62, -0.45, 0.09, 0.41, 0.23, -0.49, -0.46, -0.70),
    *(0.06, -0.64, 0.52, 0.15, 0.80, 0.33, 0.36, -0.13, -0.24, -0.58, 0.42, 0.03),
)
"""The dense delta. Magnitudes differ within each delta, so that every trimming has one answer."""

OPTIONS: dict[MergeMethod, dict[str, Any]] = {
    MergeMethod.BREADCRUMBS: {"gamma": 0.1},
    MergeMethod.DELLA: {"epsilon": 0.3},
}
"""Options that are not at their defaults: of 24 entries gamma 0.01 is none, and epsilon 0.1 hardly shows."""

_DROPS = {MergeMethod.DARE_LINEAR: False, MergeMethod.DARE_TIES: False, MergeMethod.DELLA: True}
"""Whether entries are dropped by their rank."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """One merge of the two deltas; all arrays [24]. `stays`: by arm, entries that trimming, dropping or selecting
    leaves. `outvoted`: by arm, those of them whose sign was not elected. `cosine`: of the angle between the
    deltas."""

    options: MergeOptions
    deltas: tuple[Entries, Entries]
    stays: tuple[Entries, Entries]
    outvoted: tuple[Entries, Entries]
    cosine: float
    merged: Entries


def merge_example(method: MergeMethod) -> Example:
    """Merge both deltas, as one row, by a method."""
    options = MergeOptions.model_validate({"method": method} | OPTIONS.get(method, {}))
    tensor = _tensor(SFT, PREFERENCE)
    merged, answers = _merge(options, tensor)
    deltas = np.float32(SFT), np.float32(PREFERENCE)
    kept = _stays(options, tensor, deltas, answers)
    elects = method in ELECTS_SIGNS | {MergeMethod.SCE}
    return Example(
        options=options,
        deltas=deltas,
        stays=(kept[0] != 0, kept[1] != 0),
        outvoted=tuple((one != 0) & (np.sign(one) != np.sign(merged)) & elects for one in kept),
        cosine=tensor.lengths.cosine or 0.0,
        merged=merged,
    )


def _tensor(first: Sequence[float], second: Sequence[float]) -> TensorArms:
    """As factors of rank 1, whose product is the delta to the bit."""
    unit = np.ones((1, 1), np.float32)
    one, other = (Factors(a=np.array([entries], np.float32), b=unit, scale=1.0) for entries in (first, second))
    return TensorArms(
        name="example.weight",
        rows=Rows(start=0, stop=1, columns=len(first)),
        factors=(one, other),
        weights=(1.0, 1.0),
        balance=(1.0, 1.0),
        lengths=lengths_of(one, other),
    )


def _merge(options: MergeOptions, tensor: TensorArms) -> tuple[Entries, Answers]:
    """Added to a base of zeros in fp32, which rounds nothing away."""
    work = TensorWork([(method_of(options), tensor)], [{}], dtype="F32", arithmetic=CpuArithmetic())
    base = bytes(4 * tensor.rows.columns)
    for look in work.looks:
        work.look(look, tensor.rows, None)
    (content,) = work.merge(tensor.rows, base).contents
    return np.frombuffer(content, np.float32), work.answers()[0]


def _stays(
    options: MergeOptions, tensor: TensorArms, deltas: tuple[Entries, Entries], answers: Answers
) -> tuple[Entries, Entries]:
    """Both deltas without what the method takes out of them before they meet."""
    arithmetic = CpuArithmetic()
    first, second = (entries.reshape(1, -1) for entries in deltas)
    match options.method:
        case MergeMethod.SFT_ONLY:
            second = np.zeros_like(second)
        case MergeMethod.PREFERENCE_ONLY:
            first = np.zeros_like(first)
        case MergeMethod.SCE:
            (low,) = next(found for question, found in answers.items() if isinstance(question, Threshold))
            first, second = arithmetic.keep_far(first, second, low=low)
        case method if method in TRIMS:
            ends = [[one for one in pair if one in answers] for pair in _bounds(options, tensor)]
            first, second = (
                trim(one, pair, answers, arithmetic) for one, pair in zip((first, second), ends, strict=True)
            )
        case method if method in _DROPS:
            dropping = Dropping.of(options, by_rank=_DROPS[method])
            first, second = (
                dropping.drop(tensor, arm, one, tensor.rows, arithmetic) for arm, one in enumerate((first, second))
            )
        case _:
            pass
    return first[0], second[0]


def _bounds(options: MergeOptions, tensor: TensorArms) -> tuple[tuple[Threshold, Threshold], ...]:
    removed = options.resolved().get("gamma", 0.0)
    assert isinstance(removed, float)
    return bounds(options, tensor, removed=removed)

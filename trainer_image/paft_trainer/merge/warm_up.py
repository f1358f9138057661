"""Compiling the kernels that merges need before there is anything to merge."""

import threading
from collections.abc import Sequence

import numpy as np

from paft_api.spec.merge_options import MergeOptions
from paft_trainer.adapters import Factors
from paft_trainer.kernel_cache import has_kernels
from paft_trainer.merge.arithmetic import Arithmetic
from paft_trainer.merge.lengths import lengths_of
from paft_trainer.merge.method import TensorArms
from paft_trainer.merge.methods import method_of
from paft_trainer.merge.rows import Rows
from paft_trainer.merge.tensor_work import DTYPES, TensorWork

_SIDE = 64


def begin_warm_up(merges: Sequence[MergeOptions], arithmetic: Arithmetic) -> None:
    """Where no kernels are kept yet, have it done by a thread while adapters and headers are read.

    Whoever needs a kernel meanwhile waits for it. With a store that answers after 30 ms, a merge of 200 MB ended after
    9 s instead of 13 s on two busy cores. Few bases are anything else than bf16, and for those one kernel is left.
    Where kernels are kept there is nothing to win, and a thread of its own costs 15 MB.
    """
    if not has_kernels():
        threading.Thread(target=warm_up, args=(merges, arithmetic), kwargs={"dtype": "BF16"}, name="warm-up").start()


def warm_up(merges: Sequence[MergeOptions], arithmetic: Arithmetic, *, dtype: str) -> None:
    """Merge one small matrix by each of them, which calls whatever they will call. `dtype`: the base's."""
    rows = Rows(start=0, stop=_SIDE, columns=_SIDE)
    first, second = _factors(1.0), _factors(-0.5)
    arms = TensorArms(
        name="warm_up.weight",
        rows=rows,
        factors=(first, second),
        weights=(1.0, 1.0),
        balance=(1.0, 1.0),
        lengths=lengths_of(first, second),
    )
    members = [(method_of(options), arms) for options in merges]
    work = TensorWork(members, [{} for _ in members], dtype=dtype, arithmetic=arithmetic)
    content = np.zeros(_SIDE * _SIDE * DTYPES[dtype], np.uint8).tobytes()
    for look in work.looks:
        work.look(look, rows, (lambda: content) if work.needs_base_to_look else None)
    work.merge(rows, content)


def _factors(scale: float) -> Factors:
    # Entries of many magnitudes, so that a share of them can be chosen.
    ramp = np.arange(1, _SIDE + 1, dtype=np.float32) / np.float32(_SIDE)
    return Factors(a=np.stack([ramp, ramp**2]), b=np.stack([ramp, -ramp], axis=1), scale=scale)

"""What torch.compile and Numba really compile is told of, and nothing else is."""

from typing import Any

import numba
import numpy as np
import torch

from paft_trainer.compilations import numba_told, torch_told


class Told:
    """Stands where a Reporter does."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def begin_compiling(self) -> None:
        self.calls.append("begin")

    def end_compiling(self) -> None:
        self.calls.append("end")


def test_numba_tells_of_what_it_compiles_once() -> None:
    @numba.njit
    def double(values: Any) -> Any:
        return values * 2

    told: Any = Told()
    with numba_told(told):
        double(np.ones(2))
        double(np.ones(3))
    double(np.ones(2, np.int64))

    assert told.calls.count("begin") == told.calls.count("end") >= 1
    assert double.signatures == [(numba.float64[::1],), (numba.int64[::1],)]
    once = list(told.calls)
    with numba_told(told):
        double(np.ones(4))
    assert told.calls == once


def test_torch_tells_of_every_frame_it_compiles() -> None:
    compiled = torch.compile(lambda values: values.sin() * 2, backend="eager")

    told: Any = Told()
    with torch_told(told):
        compiled(torch.ones(2))
        compiled(torch.ones(2))
    compiled(torch.ones(2, dtype=torch.float64))

    assert told.calls == ["begin", "end"]

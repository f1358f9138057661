"""Passes over the merged deltas of a tensor, without the base: rows in parts of one size, by all workers, in order."""

import math
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from paft_trainer.merge.arithmetic import Arithmetic, Delta, Meeting
from paft_trainer.merge.interference import NOWHERE, Outcome, TensorFigures
from paft_trainer.merge.method import Method, TensorArms
from paft_trainer.merge.pipeline import Pipeline
from paft_trainer.merge.questions import Answers
from paft_trainer.merge.rows import CHUNK_ELEMENTS, Rows
from paft_trainer.merge.shards import SourceTensor
from paft_trainer.merge.tensor_work import TensorWork

Found = TypeVar("Found")

Use = Callable[[Iterator[tuple[Rows, Delta]]], Found]
"""What is done with some rows: it gets them block by block."""


@dataclass(frozen=True, slots=True)
class _Measured:
    """`squares`: of each row, the squared length of its merged delta; None where that needs the base."""

    meeting: Meeting
    zero: int
    squares: "array[float] | None"


class DeltaPasses:
    """The merged delta of one tensor, as often as it is wanted. The parts are the same whatever the machine."""

    def __init__(
        self,
        pipeline: Pipeline,
        method: Method,
        arms: TensorArms,
        known: Answers,
        tensor: SourceTensor,
        arithmetic: Arithmetic,
    ) -> None:
        self.arms = arms
        self.arithmetic = arithmetic
        self._pipeline = pipeline
        self._work = TensorWork([(method, arms)], [known], dtype=tensor.entry.dtype, arithmetic=arithmetic)
        self._parts = list(arms.rows.cut(CHUNK_ELEMENTS))
        if not self._work.needs_base_to_look:
            for look in self._work.looks:
                looks = [pipeline.compute(partial(self._work.look, look, rows, None)) for rows in self._parts]
                self._work.expect(look, looks)

    def each(self, use: Use[Found]) -> Iterator[Found]:
        """What `use` makes of each part, in order. Not for merges that need the base."""
        return self._pipeline.in_order(self._pipeline.compute(partial(use, self._merged(rows))) for rows in self._parts)

    def figures(self) -> TensorFigures:
        """How the deltas meet and what the merge leaves of them. None of the latter where that needs the base."""
        measured = [self._pipeline.compute(partial(self._measure, rows)) for rows in self._parts]
        parts = list(self._pipeline.in_order(measured))
        squares = [part.squares for part in parts if part.squares is not None]
        outcome = None
        if len(squares) == len(parts):
            square = math.fsum(one for rows in squares for one in rows)
            outcome = Outcome(zero=sum(part.zero for part in parts), unchanged=None, square=square)
        rows = self.arms.rows
        return TensorFigures(
            name=self.arms.name,
            entries=rows.height * rows.columns,
            lengths=self.arms.lengths,
            meeting=sum((part.meeting for part in parts), NOWHERE),
            outcome=outcome,
        )

    def _merged(self, rows: Rows) -> Iterator[tuple[Rows, Delta]]:
        for block, _, merged in self._work.merged_deltas(rows):
            assert merged is not None
            yield block, merged

    def _measure(self, rows: Rows) -> _Measured:
        meeting, zero, squares = NOWHERE, 0, array("d")
        if self._work.needs_base_to_look:
            for _, deltas, _ in self._work.merged_deltas(rows):
                meeting += self.arithmetic.meet(*deltas)
            return _Measured(meeting, zero, None)
        for block, deltas, merged in self._work.merged_deltas(rows):
            meeting += self.arithmetic.meet(*deltas)
            zero += block.height * block.columns - self.arithmetic.meet(merged, merged).first
            squares.extend(self.arithmetic.product_sums(merged, merged))
        return _Measured(meeting, zero, squares)

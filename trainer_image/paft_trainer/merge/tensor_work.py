"""The work on one tensor: looks at the whole of it, then part by part base bytes in, merged bytes of each merge out."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np

from paft_trainer.errors import ArtifactMismatch
from paft_trainer.merge.arithmetic import DTYPES, Arithmetic, Delta, Meeting
from paft_trainer.merge.guesses import sample_of
from paft_trainer.merge.interference import NOWHERE, Outcome, RowsOutcome, TensorFigures
from paft_trainer.merge.method import Method, TensorArms
from paft_trainer.merge.questions import Answers, Question, Stream, WholeWeights
from paft_trainer.merge.rows import BLOCK_ELEMENTS, Rows
from paft_trainer.merge.survey import Look, Seen, Survey

Member = tuple[Method, TensorArms]
"""One of the merges that are made of a tensor, and how it wants the deltas."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MergedRows:
    """Some rows of a tensor, merged. `contents`, `outcomes`: of each merge."""

    contents: tuple[memoryview, ...]
    outcomes: tuple[RowsOutcome, ...]
    meeting: Meeting


@dataclass(slots=True)
class _Step:
    """One look: who sees it, what they have seen, and whether that was taken up."""

    parts: list["Future[None]"] = field(default_factory=list)
    seen: Seen = field(default_factory=Seen)
    is_learned: bool = False
    taking: threading.Lock = field(default_factory=threading.Lock)
    learning: threading.Lock = field(default_factory=threading.Lock)


class TensorWork:
    """`members`: at least one; all have the same factors. `known`: answers about the whole model, by merge.

    Methods are safe to call from several threads. `look` and `merge` wait for the looks before them.
    """

    def __init__(
        self, members: Sequence[Member], known: Sequence[Answers], *, dtype: str, arithmetic: Arithmetic
    ) -> None:
        self._members = tuple(members)
        self._dtype = dtype
        self._arithmetic = arithmetic
        self._tensor = members[0][1]
        self._asked = [tuple(method.questions(arms)) for method, arms in members]
        self._known = [dict(answers) for answers in known]
        absent = [
            stream
            for stream, factors in zip((Stream.FIRST, Stream.SECOND), self._tensor.factors, strict=True)
            if factors is None
        ]
        open_ones = {
            question: None
            for asked, answers in zip(self._asked, known, strict=True)
            for question in asked
            if question not in answers
        }
        self._survey = Survey(tuple(open_ones), entries=self.entries, absent=absent)
        self._sampling, self._is_sampled = threading.Lock(), False
        self._steps = {look: _Step() for look in self._survey.looks}

    @property
    def entries(self) -> int:
        """Entries of the tensor."""
        return self._tensor.rows.height * self._tensor.rows.columns

    @property
    def looks(self) -> tuple[Look, ...]:
        """Looks to be taken at all rows before any can be merged."""
        return self._survey.looks

    @property
    def needs_base_to_look(self) -> bool:
        """Whether the first look needs the base's rows."""
        return any(isinstance(question, WholeWeights) for asked in self._asked for question in asked)

    def expect(self, look: Look, parts: list["Future[None]"]) -> None:
        """Tell whose end ends a look, before anything is submitted that waits for it."""
        self._steps[look].parts = parts

    def look(self, look: Look, rows: Rows, read_base: Callable[[], bytes | memoryview] | None) -> None:
        """Look at some rows."""
        self._learn(before=look)
        if not self._survey.is_needed(look):
            return
        self._take_sample()
        seen = Seen()
        content = memoryview(read_base()) if read_base is not None else None
        for block in rows.cut(BLOCK_ELEMENTS):
            base = self._decoded(content, rows, block) if content is not None else None
            self._survey.look(look, block, self._deltas(block), self._arithmetic, base, seen)
        step = self._steps[look]
        with step.taking:
            step.seen.take(seen)

    def merge(self, rows: Rows, content: bytes | memoryview) -> MergedRows:
        """Merge some rows. Raises ArtifactMismatch where a merged weight leaves the range of the base's dtype."""
        answers = self.answers()
        view = memoryview(content)
        meeting = NOWHERE
        contents = [memoryview(np.empty(len(content), np.uint8)) for _ in self._members]
        outcomes = [RowsOutcome() for _ in self._members]
        for block in rows.cut(BLOCK_ELEMENTS):
            deltas = self._deltas(block)
            meeting += self._arithmetic.meet(*deltas)
            base = self._slice(view, rows, block)
            whole = self._decoded(view, rows, block) if self.needs_base_to_look else None
            for index, (method, arms) in enumerate(self._members):
                merged = method.merge(arms, deltas, block, answers[index], self._arithmetic, whole)
                added = self._arithmetic.add(base, self._dtype, merged, self._slice(contents[index], rows, block))
                if added.not_finite:
                    raise _out_of_range(arms.name, self._dtype)
                outcomes[index].take(added, self._arithmetic.product_sums(merged, merged))
        return MergedRows(
            contents=tuple(contents),
            outcomes=tuple(outcomes),
            meeting=meeting,
        )

    def merged_deltas(self, rows: Rows) -> Iterator[tuple[Rows, tuple[Delta, Delta], Delta | None]]:
        """Without a base: some rows block by block, both deltas and the first merge's; None for a merge that needs the
        base."""
        method, arms = self._members[0]
        answers = None if self.needs_base_to_look else self.answers()[0]
        for block in rows.cut(BLOCK_ELEMENTS):
            deltas = self._deltas(block)
            if answers is None:
                yield block, deltas, None
            else:
                yield block, deltas, method.merge(arms, deltas, block, answers, self._arithmetic, None)

    def answers(self) -> list[dict[Question, tuple[float, ...]]]:
        """All answers, by merge; waits for the looks."""
        self._learn(before=None)
        return [
            {question: known.get(question) or self._survey.answers[question] for question in asked}
            for asked, known in zip(self._asked, self._known, strict=True)
        ]

    def figures(self, index: int, parts: Sequence[MergedRows]) -> TensorFigures:
        """Figures of one merge. `parts`: all rows."""
        arms = self._members[index][1]
        return TensorFigures(
            name=arms.name,
            entries=self.entries,
            lengths=arms.lengths,
            meeting=sum((part.meeting for part in parts), NOWHERE),
            outcome=Outcome.of([part.outcomes[index] for part in parts]),
        )

    def _learn(self, *, before: Look | None) -> None:
        for look, step in self._steps.items():
            if look is before:
                return
            with step.learning:
                if not step.is_learned:
                    for part in step.parts:
                        part.result()
                    self._survey.learn(look, step.seen)
                    step.is_learned, step.seen = True, Seen()

    def _take_sample(self) -> None:
        with self._sampling:
            if self._is_sampled or not self._survey.wants_sample:
                return
            sample = sample_of(self._tensor.factors, self._tensor.rows, self._arithmetic)
            self._survey.take_sample(sample, self._arithmetic)
            self._is_sampled = True

    def _deltas(self, rows: Rows) -> tuple[Delta, Delta]:
        first, second = (self._arithmetic.delta(factors, rows) for factors in self._tensor.factors)
        return first, second

    def _slice(self, content: memoryview, rows: Rows, block: Rows) -> memoryview:
        row_bytes = rows.columns * DTYPES[self._dtype]
        return content[(block.start - rows.start) * row_bytes : (block.stop - rows.start) * row_bytes]

    def _decoded(self, content: memoryview, rows: Rows, block: Rows) -> Delta:
        return self._arithmetic.decode(self._slice(content, rows, block), self._dtype, block)


def _out_of_range(name: str, dtype: str) -> ArtifactMismatch:
    return ArtifactMismatch(
        f"{name}: base and delta together leave the range of {dtype}",
        remedy="Lower merge.weights, or train the adapters again: their factors are far too large.",
    )

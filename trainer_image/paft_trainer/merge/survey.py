"""Answers to what methods ask about one tensor, found by looking at all its parts, up to three times.

What they ask about the whole model is for `model_survey`.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from paft_trainer.merge.arithmetic import LOWER_BINS, UPPER_BINS, Arithmetic, Between, Counts, Delta
from paft_trainer.merge.guesses import LARGEST_TENSOR, MOST_OF_A_STREAM, Bounds, found, guess, together
from paft_trainer.merge.questions import (
    Answers,
    DroppedSums,
    Question,
    SelectedSquares,
    Stream,
    Threshold,
    WholeWeights,
)
from paft_trainer.merge.rows import Rows
from paft_trainer.merge.selection import EVERYTHING, NOTHING, locate, magnitude


class Look(Enum):
    """The looks at a whole tensor, in their order."""

    GUESSES_AND_SUMS = 1
    UPPER_BITS = 2
    LOWER_BITS = 3
    SELECTION = 4


Measured = tuple[Stream, float]
"""Entries of a stream, multiplied with a factor."""


@dataclass(slots=True)
class Seen:
    """What one look has found, in some rows or in all. `between`: by threshold, in parts. `sums`: by question, and by
    first row so that they add up in one order whoever was faster."""

    between: dict[Threshold, list[Between]] = field(default_factory=dict)
    upper: dict[Measured, Counts] = field(default_factory=dict)
    lower: dict[tuple[Measured, int], Counts] = field(default_factory=dict)
    sums: dict[Question, dict[int, list[tuple[float, ...]]]] = field(default_factory=dict)

    def add_sums(self, question: Question, first_row: int, *columns: Iterable[float]) -> None:
        """Rows of sums that belong to a question."""
        self.sums.setdefault(question, {})[first_row] = list(zip(*columns, strict=True))

    def upper_of(self, measured: Measured) -> Counts:
        """Counts by upper bits, which begin at 0."""
        if measured not in self.upper:
            self.upper[measured] = np.zeros(UPPER_BINS, np.int64)
        return self.upper[measured]

    def lower_of(self, measured: Measured, bin_: int) -> Counts:
        """Counts by lower bits in one bin, which begin at 0."""
        if (measured, bin_) not in self.lower:
            self.lower[measured, bin_] = np.zeros(LOWER_BINS, np.int64)
        return self.lower[measured, bin_]

    def take(self, other: "Seen") -> None:
        """Add what was found in other rows."""
        for threshold, parts in other.between.items():
            self.between.setdefault(threshold, []).extend(parts)
        for measured, counts in other.upper.items():
            self.upper_of(measured).__iadd__(counts)
        for (measured, bin_), counts in other.lower.items():
            self.lower_of(measured, bin_).__iadd__(counts)
        for question, rows in other.sums.items():
            self.sums.setdefault(question, {}).update(rows)


class Survey:
    """Questions about one tensor. `entries`: of the tensor; `absent`: streams that are 0 everywhere.

    `learn` takes what `look` has found in all rows, for each of `looks` in order; any thread may look. Where
    `wants_sample`, `take_sample` comes first.
    """

    def __init__(self, questions: Collection[Question], *, entries: int, absent: Collection[Stream] = ()) -> None:
        self._questions = tuple(questions)
        self._entries = entries
        self._answers: dict[Question, tuple[float, ...]] = {}
        self._bins: dict[Threshold, tuple[int, int]] = {}
        for question in self._questions:
            if isinstance(question, Threshold) and (known := trivial(question, entries, absent)) is not None:
                self._answers[question] = (known,)
        streams = Counter(threshold.stream for threshold in self._open_thresholds())
        is_guessed = entries <= LARGEST_TENSOR and max(streams.values(), default=0) <= MOST_OF_A_STREAM
        self._guessed = self._open_thresholds() if is_guessed else []
        self._bounds: dict[Threshold, Bounds] = {}
        self._sums = [one for one in self._questions if isinstance(one, DroppedSums | WholeWeights)]

    @property
    def answers(self) -> Answers:
        """By question; all of them after the last look."""
        return self._answers

    @property
    def looks(self) -> tuple[Look, ...]:
        """Which looks may be needed."""
        needed = {
            Look.GUESSES_AND_SUMS: bool(self._guessed or self._sums),
            Look.UPPER_BITS: bool(self._open_thresholds()),
            Look.LOWER_BITS: bool(self._open_thresholds()),
            Look.SELECTION: any(isinstance(one, SelectedSquares) for one in self._questions),
        }
        return tuple(look for look in Look if needed[look])

    @property
    def wants_sample(self) -> bool:
        """Whether a sample of the deltas helps."""
        return bool(self._guessed)

    def take_sample(self, deltas: tuple[Delta, Delta], arithmetic: Arithmetic) -> None:
        """Guess from a sample of both deltas."""
        for threshold in self._guessed:
            values = arithmetic.magnitudes(stream_of(threshold.stream, deltas, arithmetic), factor=threshold.factor)
            self._bounds[threshold] = guess(threshold, values)

    def is_needed(self, look: Look) -> bool:
        """Whether a look still has anything to find, after the looks before it."""
        return look in (Look.GUESSES_AND_SUMS, Look.SELECTION) or bool(self._open_thresholds())

    def look(
        self,
        look: Look,
        rows: Rows,
        deltas: tuple[Delta, Delta],
        arithmetic: Arithmetic,
        base: Delta | None,
        seen: Seen,
    ) -> None:
        """Look at some rows. `seen`: takes up what is found."""
        match look:
            case Look.GUESSES_AND_SUMS:
                for threshold, bounds in self._bounds.items():
                    delta = stream_of(threshold.stream, deltas, arithmetic)
                    between = arithmetic.between(delta, factor=threshold.factor, low=bounds.low, high=bounds.high)
                    seen.between.setdefault(threshold, []).append(between)
                self._sum(rows, deltas, arithmetic, base, seen)
            case Look.UPPER_BITS:
                for measured in {(one.stream, one.factor) for one in self._open_thresholds()}:
                    delta = stream_of(measured[0], deltas, arithmetic)
                    arithmetic.count_upper_bits(delta, seen.upper_of(measured), factor=measured[1])
            case Look.LOWER_BITS:
                for measured, bin_ in {((one.stream, one.factor), self._bins[one][0]) for one in self._bins}:
                    delta = stream_of(measured[0], deltas, arithmetic)
                    arithmetic.count_lower_bits(delta, seen.lower_of(measured, bin_), factor=measured[1], bin_=bin_)
            case Look.SELECTION:
                self._sum_selected(rows, deltas, arithmetic, seen)

    def learn(self, look: Look, seen: Seen) -> None:
        """Take up what one look has found in all rows."""
        match look:
            case Look.GUESSES_AND_SUMS:
                for threshold, parts in seen.between.items():
                    value = found(threshold, together(parts), entries=self._entries)
                    if value is not None:
                        self._answers[threshold] = (value,)
            case Look.UPPER_BITS:
                for threshold in self._open_thresholds():
                    counts = seen.upper_of((threshold.stream, threshold.factor))
                    # Numbers below 2^-133 have no upper bits, and count as 0 here.
                    population = self._entries - int(counts[0]) if threshold.of_nonzero else self._entries
                    self._place(threshold, counts, threshold.rank(population))
            case Look.LOWER_BITS:
                for threshold, (bin_, rank) in self._bins.items():
                    low, _ = locate(seen.lower_of((threshold.stream, threshold.factor), bin_), rank)
                    self._answers[threshold] = (magnitude(bin_, low),)
            case Look.SELECTION:
                pass
        for question, parts in seen.sums.items():
            rows = [row for first in sorted(parts) for row in parts[first]]
            self._answers[question] = tuple(math.fsum(column) for column in zip(*rows, strict=True))

    def _open_thresholds(self) -> list[Threshold]:
        return [one for one in self._questions if isinstance(one, Threshold) and one not in self._answers]

    def _place(self, threshold: Threshold, counts: Counts, rank: int) -> None:
        if rank == 0:
            self._answers[threshold] = (NOTHING,)
        else:
            self._bins[threshold] = locate(counts, rank)

    def _sum(
        self, rows: Rows, deltas: tuple[Delta, Delta], arithmetic: Arithmetic, base: Delta | None, seen: Seen
    ) -> None:
        for question in self._sums:
            if isinstance(question, DroppedSums):
                delta = stream_of(question.stream, deltas, arithmetic)
                kept = _dropped(question, delta, rows, arithmetic)
                seen.add_sums(question, rows.start, arithmetic.magnitude_sums(delta), arithmetic.magnitude_sums(kept))
            else:
                assert base is not None
                first, second = (
                    arithmetic.weighted_sum(base, delta, (1.0, factor))
                    for delta, factor in zip(deltas, question.factors, strict=True)
                )
                pairs = ((first, first), (second, second), (first, second))
                seen.add_sums(question, rows.start, *(arithmetic.product_sums(*pair) for pair in pairs))

    def _sum_selected(self, rows: Rows, deltas: tuple[Delta, Delta], arithmetic: Arithmetic, seen: Seen) -> None:
        for question in self._questions:
            if isinstance(question, SelectedSquares):
                (low,) = self._answers[question.selection]
                kept = deltas if low == EVERYTHING else arithmetic.keep_far(*deltas, low=low)
                seen.add_sums(question, rows.start, *(arithmetic.product_sums(delta, delta) for delta in kept))


def trivial(threshold: Threshold, entries: int, absent: Collection[Stream]) -> float | None:
    """The answer that needs no look; None where one is needed."""
    if threshold.kept == 0:
        return NOTHING
    if threshold.is_upper:
        return NOTHING if threshold.rank(entries) == 1 or threshold.stream in absent else None
    keeps_all = threshold.kept == 1 or (threshold.rank(entries) >= entries and not threshold.of_nonzero)
    return EVERYTHING if keeps_all or threshold.stream in absent else None


def stream_of(stream: Stream, deltas: tuple[Delta, Delta], arithmetic: Arithmetic) -> Delta:
    """The values that a question is about."""
    match stream:
        case Stream.FIRST:
            return deltas[0]
        case Stream.SECOND:
            return deltas[1]
        case Stream.DISTANCE:
            return arithmetic.distance(*deltas)


def _dropped(question: DroppedSums, delta: Delta, rows: Rows, arithmetic: Arithmetic) -> Delta:
    start = rows.first_index
    if question.epsilon is None:
        return arithmetic.keep_drawn(delta, key=question.key, start=start, density=question.density)
    return arithmetic.keep_drawn_by_rank(
        delta, key=question.key, start=start, density=question.density, epsilon=question.epsilon, rescales=False
    )

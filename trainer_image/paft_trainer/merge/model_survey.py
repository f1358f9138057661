"""Thresholds among the entries of all tensors together: each is looked at twice, before anything is merged."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from paft_trainer.merge.arithmetic import LOWER_BINS, UPPER_BINS, Arithmetic, Counts, Delta
from paft_trainer.merge.questions import Question, Stream, Threshold
from paft_trainer.merge.selection import NOTHING, locate, magnitude
from paft_trainer.merge.survey import stream_of

Group = tuple[Stream, str]
"""A stream, and the rule by which its tensors have factors."""


class ModelSurvey:
    """`thresholds`: what is asked, with whatever tensor's factor. `entries`: of each stream in the model."""

    def __init__(self, thresholds: Iterable[Threshold], *, entries: Mapping[Stream, int]) -> None:
        self._ranks = {_general(one): one.rank(entries[one.stream]) for one in thresholds}
        self._upper: dict[Group, Counts] = {_group(one): np.zeros(UPPER_BINS, np.int64) for one in self._ranks}
        self._lower: dict[tuple[Group, int], Counts] = {}
        self._bins: dict[Threshold, tuple[int, int]] = {}
        self._answers: dict[Threshold, float] = {}

    def count_upper_bits(
        self,
        questions: Iterable[Threshold],
        deltas: tuple[Delta, Delta],
        arithmetic: Arithmetic,
        counts: dict[Group, Counts],
    ) -> None:
        """The first look at some rows of a tensor with these questions. `counts`: takes up what is found."""
        for group, factor in _factors(questions).items():
            if group not in counts:
                counts[group] = np.zeros(UPPER_BINS, np.int64)
            arithmetic.count_upper_bits(stream_of(group[0], deltas, arithmetic), counts[group], factor=factor)

    def learn_upper_bits(self, counts: Mapping[Group, Counts]) -> None:
        """Take up what the first look has found in some rows."""
        for group, found in counts.items():
            self._upper[group] += found

    def locate(self) -> None:
        """Between the looks."""
        for threshold, rank in self._ranks.items():
            if rank == 0:
                self._answers[threshold] = NOTHING
                continue
            self._bins[threshold] = locate(self._upper[_group(threshold)], rank)
            self._lower[_group(threshold), self._bins[threshold][0]] = np.zeros(LOWER_BINS, np.int64)

    def count_lower_bits(
        self,
        questions: Iterable[Threshold],
        deltas: tuple[Delta, Delta],
        arithmetic: Arithmetic,
        counts: dict[tuple[Group, int], Counts],
    ) -> None:
        """The second look at some rows."""
        factors = _factors(questions)
        for group, bin_ in self._lower:
            if group in factors:
                if (group, bin_) not in counts:
                    counts[group, bin_] = np.zeros(LOWER_BINS, np.int64)
                delta = stream_of(group[0], deltas, arithmetic)
                arithmetic.count_lower_bits(delta, counts[group, bin_], factor=factors[group], bin_=bin_)

    def learn_lower_bits(self, counts: Mapping[tuple[Group, int], Counts]) -> None:
        """Take up what the second look has found in some rows."""
        for place, found in counts.items():
            self._lower[place] += found

    def finish(self) -> None:
        """After the second look."""
        for threshold, (bin_, rank) in self._bins.items():
            low, _ = locate(self._lower[_group(threshold), bin_], rank)
            self._answers[threshold] = magnitude(bin_, low)

    def answers(self, questions: Iterable[Question]) -> dict[Question, tuple[float, ...]]:
        """For the questions of one tensor about the model."""
        return {one: (self._answers[_general(one)],) for one in questions_about_model(questions)}


def questions_about_model(questions: Iterable[Question]) -> list[Threshold]:
    """Those among all."""
    return [one for one in questions if isinstance(one, Threshold) and one.in_model is not None]


def _general(threshold: Threshold) -> Threshold:
    return replace(threshold, factor=1.0)


def _group(threshold: Threshold) -> Group:
    assert threshold.in_model is not None
    return threshold.stream, threshold.in_model


def _factors(questions: Iterable[Threshold]) -> dict[Group, float]:
    return {_group(one): one.factor for one in questions}

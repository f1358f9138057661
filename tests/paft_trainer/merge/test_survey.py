"""Questions about one tensor, against numpy on the whole of it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies

from paft_trainer.merge.cpu_arithmetic import CpuArithmetic
from paft_trainer.merge.questions import (
    DroppedSums,
    Question,
    SelectedSquares,
    Stream,
    Threshold,
    WholeWeights,
)
from paft_trainer.merge.rows import Rows
from paft_trainer.merge.survey import Look, Seen, Survey

Matrix = np.ndarray

ANY = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 1e-45, 3e38, 2.0**-133, 2.0**-134]),
    st.floats(width=32, allow_nan=False, allow_infinity=False),
)
SHAPES = st.tuples(st.integers(1, 6), st.integers(1, 20))
ANY_PAIRS = SHAPES.flatmap(lambda shape: numpy_strategies.arrays(np.float32, (2, *shape), elements=ANY))
MODEST_PAIRS = SHAPES.flatmap(
    lambda shape: numpy_strategies.arrays(np.float32, (2, *shape), elements=st.floats(-100, 100, width=32))
)
SHARES = st.one_of(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.floats(0, 1))
HEIGHTS = st.integers(1, 6)


SAMPLES = {
    "all entries": lambda pair: pair,
    "a few": lambda pair: pair[:, ::2, ::2],
    "all wrong": lambda pair: pair * np.float32(2.0**-6) + np.float32(2.0**-100),
    "only zeros": lambda pair: pair * np.float32(0),
    "none": lambda pair: None,
}
"""What guesses are made from; no answer may depend on it."""


def answered(
    questions: list[Question],
    pair: Matrix,
    *,
    height: int = 1,
    base: Matrix | None = None,
    backwards: bool = False,
    sample: str = "all entries",
) -> dict[Question, tuple[float, ...]]:
    """All looks, `height` rows at a time."""
    survey = Survey(questions, entries=pair[0].size)
    sampled = SAMPLES[sample](pair)
    if sampled is not None and survey.wants_sample:
        survey.take_sample((sampled[0], sampled[1]), CpuArithmetic())
    rows = [*Rows(start=0, stop=pair.shape[1], columns=pair.shape[2]).cut(height * pair.shape[2])]
    for look in survey.looks:
        seen = Seen()
        if not survey.is_needed(look):
            continue
        for part in reversed(rows) if backwards else rows:
            here = slice(part.start, part.stop)
            survey.look(
                look,
                part,
                (pair[0][here], pair[1][here]),
                CpuArithmetic(),
                None if base is None else base[here],
                seen,
            )
        survey.learn(look, seen)
    return dict(survey.answers)


def stream(name: Stream, pair: Matrix) -> Matrix:
    with np.errstate(over="ignore"):
        return {Stream.FIRST: pair[0], Stream.SECOND: pair[1], Stream.DISTANCE: pair[0] - pair[1]}[name]


@given(
    ANY_PAIRS,
    SHARES,
    SHARES,
    st.sampled_from(Stream),
    st.sampled_from([1.0, 0.5, -2.0]),
    HEIGHTS,
    st.sampled_from(sorted(SAMPLES)),
)
def test_thresholds_are_exact_whatever_was_guessed(
    pair: Matrix, kept: float, removed: float, name: Stream, factor: float, height: int, sample: str
) -> None:
    low, high = (
        Threshold(stream=name, kept=kept, removed=removed, is_upper=is_upper, factor=factor)
        for is_upper in (False, True)
    )
    answers = answered([low, high], pair, height=height, sample=sample)
    with np.errstate(over="ignore"):
        in_order = np.sort(np.abs(stream(name, pair) * np.float32(factor)), axis=None)[::-1]
    entries = in_order.size
    number = int(kept * entries)
    gone = min(int(removed * entries), entries - number)
    if number == 0:
        assert answers[low] == (math.inf,)
        return
    # 0 stands for the last of all.
    assert answers[low] == ((0.0,) if gone + number == entries else (float(in_order[gone + number - 1]),))
    assert answers[high] == ((math.inf,) if gone == 0 else (float(in_order[gone]),))


@given(MODEST_PAIRS, SHARES, st.sampled_from(sorted(SAMPLES)))
def test_shares_may_be_of_what_is_not_0(pair: Matrix, kept: float, sample: str) -> None:
    pair = np.where(np.abs(pair) < 1e-3, np.float32(0), pair)
    threshold = Threshold(stream=Stream.FIRST, kept=kept, of_nonzero=True)
    (answer,) = answered([threshold], pair, sample=sample)[threshold]
    in_order = np.sort(np.abs(pair[0]), axis=None)[::-1]
    number = int(kept * np.count_nonzero(pair[0]))
    wanted = 0.0 if kept == 1 else float(in_order[number - 1]) if number else math.inf
    assert answer == wanted


@given(MODEST_PAIRS, SHARES, HEIGHTS)
def test_sums_are_those_of_numpy_and_do_not_depend_on_parts(pair: Matrix, kept: float, height: int) -> None:
    base = np.random.default_rng(0).standard_normal(pair[0].shape).astype(np.float32)
    selection = Threshold(stream=Stream.DISTANCE, kept=kept)
    dropped = DroppedSums(stream=Stream.SECOND, key=7, density=0.5, epsilon=None)
    by_rank = DroppedSums(stream=Stream.FIRST, key=7, density=0.5, epsilon=0.25)
    squares, whole = SelectedSquares(selection=selection), WholeWeights(factors=(1.0, 0.5))
    questions: list[Question] = [dropped, by_rank, selection, squares, whole]
    answers = answered(questions, pair, height=height, base=base)
    assert answers == answered(questions, pair, height=pair.shape[1], base=base)
    assert answers == answered(questions, pair, height=height, base=base, backwards=True)

    first, second = pair.astype(np.float64)
    for question, delta in ((dropped, pair[1]), (by_rank, pair[0])):
        how = {"key": 7, "start": 0, "density": 0.5}
        left = (
            CpuArithmetic().keep_drawn(delta, **how)
            if question.epsilon is None
            else CpuArithmetic().keep_drawn_by_rank(delta, **how, epsilon=0.25, rescales=False)
        )
        sums = np.abs(delta).sum(dtype=np.float64), np.abs(left).sum(dtype=np.float64)
        assert answers[question] == pytest.approx(sums, rel=1e-12)
    selected = np.abs(pair[0] - pair[1]) >= np.float32(answers[selection][0])
    wanted = (first**2)[selected].sum(), (second**2)[selected].sum()
    assert answers[squares] == pytest.approx(wanted, rel=1e-12, abs=1e-30)
    ends = base + first, base + 0.5 * second
    wanted = (ends[0] ** 2).sum(), (ends[1] ** 2).sum(), (ends[0] * ends[1]).sum()
    assert answers[whole] == pytest.approx(wanted, rel=1e-5, abs=1e-3)


def test_a_good_guess_saves_the_looks_after_it() -> None:
    pair = np.random.default_rng(0).standard_normal((2, 40, 50)).astype(np.float32)
    threshold = Threshold(stream=Stream.FIRST, kept=0.5)
    survey = Survey([threshold], entries=pair[0].size)
    survey.take_sample((pair[0], pair[1]), CpuArithmetic())
    seen = Seen()
    survey.look(Look.GUESSES_AND_SUMS, Rows(start=0, stop=40, columns=50), tuple(pair), CpuArithmetic(), None, seen)
    survey.learn(Look.GUESSES_AND_SUMS, seen)
    assert not survey.is_needed(Look.UPPER_BITS)
    assert not survey.is_needed(Look.LOWER_BITS)
    assert sum(len(part.values) for part in seen.between[threshold]) < 0.05 * pair[0].size


@pytest.mark.parametrize(
    ("question", "looks"),
    [
        (Threshold(stream=Stream.FIRST, kept=0.5), [Look.GUESSES_AND_SUMS, Look.UPPER_BITS, Look.LOWER_BITS]),
        (Threshold(stream=Stream.FIRST, kept=0.0), []),
        (Threshold(stream=Stream.FIRST, kept=1.0), []),
        (Threshold(stream=Stream.FIRST, kept=0.5, is_upper=True), []),
        (Threshold(stream=Stream.SECOND, kept=0.5), []),  # of an arm that does not adapt the module
        (DroppedSums(stream=Stream.FIRST, key=0, density=0.5, epsilon=None), [Look.GUESSES_AND_SUMS]),
        (SelectedSquares(selection=Threshold(stream=Stream.FIRST, kept=1.0)), [Look.SELECTION]),
        (WholeWeights(factors=(1.0, 1.0)), [Look.GUESSES_AND_SUMS]),
    ],
)
def test_no_tensor_is_looked_at_for_nothing(question: Question, looks: list[Look]) -> None:
    assert list(Survey([question], entries=100, absent=[Stream.SECOND]).looks) == looks

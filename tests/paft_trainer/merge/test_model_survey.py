"""Thresholds over the whole model, against numpy on all entries together."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies

from paft_trainer.merge.cpu_arithmetic import CpuArithmetic
from paft_trainer.merge.model_survey import ModelSurvey
from paft_trainer.merge.questions import Stream, Threshold

ANY = st.one_of(
    st.sampled_from([0.0, 1.0, -1.0, 1e-45]), st.floats(width=32, allow_nan=False, allow_infinity=False)
)  # fmt: skip
TENSORS = st.lists(
    st.integers(1, 30).flatmap(lambda size: numpy_strategies.arrays(np.float32, (2, 1, size), elements=ANY)),
    min_size=1,
    max_size=5,
)
SHARES = st.one_of(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.floats(0, 1))


Piece = tuple[list[Threshold], tuple[np.ndarray, np.ndarray]]


def look_twice(survey: ModelSurvey, pieces: list[Piece]) -> None:
    """Both looks; every two pieces are counted together, as the blocks of a chunk are."""
    for count, learn, end in (
        (survey.count_upper_bits, survey.learn_upper_bits, survey.locate),
        (survey.count_lower_bits, survey.learn_lower_bits, survey.finish),
    ):
        for start in range(0, len(pieces), 2):
            counts = {}
            for questions, deltas in pieces[start : start + 2]:
                count(questions, deltas, CpuArithmetic(), counts)
            learn(counts)
        end()


@given(TENSORS, SHARES, SHARES, st.integers(1, 30), st.data())
def test_thresholds_are_exact_among_all_tensors(
    tensors: list[np.ndarray], kept: float, removed: float, part: int, data: st.DataObject
) -> None:
    factors = [data.draw(st.sampled_from([1.0, 0.5, 3.0])) for _ in tensors]
    asked = [
        [
            Threshold(
                stream=stream, kept=kept, removed=removed, is_upper=is_upper, factor=factor, in_model="Tensor"
            )
            for stream in (Stream.FIRST, Stream.SECOND)
            for is_upper in (False, True)
        ]
        for factor in factors
    ]  # fmt: skip
    entries = sum(tensor[0].size for tensor in tensors)
    survey = ModelSurvey(
        [one for questions in asked for one in questions], entries={Stream.FIRST: entries, Stream.SECOND: entries}
    )
    pieces = [
        (questions, (tensor[0][:, start : start + part], tensor[1][:, start : start + part]))
        for questions, tensor in zip(asked, tensors, strict=True)
        for start in range(0, tensor.shape[2], part)
    ]
    look_twice(survey, pieces)

    for arm, stream in enumerate((Stream.FIRST, Stream.SECOND)):
        with np.errstate(over="ignore"):
            magnitudes = [
                np.abs(tensor[arm] * np.float32(factor)).ravel()
                for tensor, factor in zip(tensors, factors, strict=True)
            ]  # fmt: skip
        in_order = np.sort(np.concatenate(magnitudes))[::-1]
        number = int(kept * entries)
        gone = min(int(removed * entries), entries - number)
        for questions in asked:
            for question, (answer,) in survey.answers(questions).items():
                if question.stream is stream:
                    place = gone if question.is_upper else gone + number - 1
                    assert answer == (float(in_order[place]) if number else math.inf)


def test_rules_for_factors_are_told_apart() -> None:
    """Candidates that balance in different ways count entries of their own."""
    one, other = (
        Threshold(stream=Stream.FIRST, kept=0.5, factor=factor, in_model=rule)
        for factor, rule in ((1.0, "None"), (2.0, "Tensor"))
    )
    survey = ModelSurvey([one, other], entries={Stream.FIRST: 4})
    deltas = (np.array([[1.0, -2.0, 3.0, 4.0]], np.float32),) * 2
    look_twice(survey, [([one, other], deltas)])
    assert survey.answers([one, other]) == {one: (3.0,), other: (6.0,)}

"""Answers to what methods ask about the whole model: all tensors are looked at before any is merged."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from paft_trainer.merge.arithmetic import Arithmetic, Counts
from paft_trainer.merge.method import Method, TensorArms
from paft_trainer.merge.model_survey import ModelSurvey, questions_about_model
from paft_trainer.merge.pipeline import Pipeline
from paft_trainer.merge.questions import Answers, Question, Stream
from paft_trainer.merge.rows import BLOCK_ELEMENTS, Rows
from paft_trainer.merge.shards import SourceTensor
from paft_trainer.merge.trimming import STREAMS

TensorArmsOf = Callable[[SourceTensor], TensorArms]
"""How a merge wants a tensor's deltas."""

AnswersAboutModel = Callable[[Method, TensorArms], Answers]
"""For one merge and tensor."""


def survey_model(
    pipeline: Pipeline,
    tensors: Sequence[SourceTensor],
    merges: Sequence[tuple[Method, TensorArmsOf]],
    arithmetic: Arithmetic,
    *,
    chunk_elements: int,
) -> AnswersAboutModel:
    """Look twice at all rows of all tensors that get a delta, where a method asks for it; else not at all."""
    asked = {
        tensor.entry.name: questions_about_model(
            question for method, arms in merges for question in method.questions(arms(tensor))
        )
        for tensor in tensors
    }
    if not any(asked.values()):
        return lambda method, arms: {}
    _, first_arms = merges[0]
    survey = ModelSurvey(
        [question for questions in asked.values() for question in questions],
        entries=_entries_of_streams([first_arms(tensor) for tensor in tensors]),
    )
    work = [
        (asked[tensor.entry.name], first_arms(tensor), rows)
        for tensor in tensors
        for rows in first_arms(tensor).rows.cut(chunk_elements)
    ]
    for count, learn, end in (
        (survey.count_upper_bits, survey.learn_upper_bits, survey.locate),
        (survey.count_lower_bits, survey.learn_lower_bits, survey.finish),
    ):
        looks = (pipeline.compute(partial(_look_at_rows, count, *one, arithmetic)) for one in work)
        for found in pipeline.in_order(looks):
            learn(found)
        end()
    return lambda method, arms: survey.answers(method.questions(arms))


def _look_at_rows(
    count: Callable[..., Any], questions: Sequence[Question], arms: TensorArms, rows: Rows, arithmetic: Arithmetic
) -> dict[Any, Counts]:
    counts: dict[Any, Counts] = {}
    for block in rows.cut(BLOCK_ELEMENTS):
        first, second = (arithmetic.delta(factors, block) for factors in arms.factors)
        count(questions, (first, second), arithmetic, counts)
    return counts


def _entries_of_streams(tensors: Sequence[TensorArms]) -> dict[Stream, int]:
    """Entries of the modules that each arm adapts."""
    return {
        stream: sum(arms.rows.height * arms.rows.columns for arms in tensors if arms.factors[index] is not None)
        for index, stream in enumerate(STREAMS)
    }

"""Whole optimizer steps: the same rows and the same normalisation on any number of processes, packed or not."""

from typing import Any

import pytest
from accelerate import skip_first_batches

from paft_trainer.data.chat import IGNORED
from paft_trainer.data.encoded_rows import RowsWithColumns
from paft_trainer.training.batching.batching import Batching
from paft_trainer.training.batching.examples import ChatForm, PairForm
from paft_trainer.training.batching.steps import OptimizerStep, OptimizerSteps, step_loader
from paft_trainer.training.sampling import EpochSampler

MAX_LENGTH = 16
CHATS = [
    {"input_ids": [row] * (3 + row % 9), "labels": [IGNORED, IGNORED, *[row] * (1 + row % 9)]} for row in range(20)
]
PAIRS = [{"prompt_ids": [row] * 4, "chosen_ids": [row] * (row % 5 + 1), "rejected_ids": [row] * 14} for row in range(8)]


def batching(*, is_packed: bool, sequences: int = 1) -> Batching:
    return Batching(is_packed=is_packed, rows_per_pass=2, tokens_per_pass=2 * MAX_LENGTH * sequences, pad_token_id=99)


def steps_of(processes: int, *, is_packed: bool, skipped: int = 0) -> list[list[OptimizerStep]]:
    """For each process its steps."""
    result = []
    for process in range(processes):
        steps = OptimizerSteps(CHATS, ChatForm(), batching(is_packed=is_packed))
        steps.share(process, processes)
        sampler = EpochSampler(rows=len(CHATS), global_batch_size=8, seed=3)
        loader = step_loader(steps, sampler, global_batch_size=8)
        assert len(loader) == 2
        result.append(list(skip_first_batches(loader, skipped)))
    return result


def _rows(step: OptimizerStep) -> set[int]:
    return {token for inputs in step.passes for token in inputs["input_ids"].flatten().tolist()} - {99}


@pytest.mark.parametrize("is_packed", [True, False])
@pytest.mark.parametrize("processes", [1, 2, 4])
def test_each_step_has_the_rows_that_one_process_would_give_it(is_packed: bool, processes: int) -> None:
    (alone,) = steps_of(1, is_packed=False)
    shared = steps_of(processes, is_packed=is_packed)

    for number, whole in enumerate(alone):
        parts = [steps[number] for steps in shared]
        assert set.union(*map(_rows, parts)) == _rows(whole)
        assert sum(len(_rows(part)) for part in parts) == 8
        assert {part.learnt_tokens for part in parts} == {whole.learnt_tokens}
        assert len({len(part.passes) for part in parts}) == 1


def test_learnt_tokens_are_those_with_a_label_to_predict() -> None:
    (steps,) = steps_of(1, is_packed=True)

    labelled = sum(int((inputs["labels"][:, 1:] != IGNORED).sum()) for inputs in steps[0].passes)
    assert steps[0].learnt_tokens == labelled > 0


def test_steps_that_were_done_are_passed_over() -> None:
    (both,), (second,) = steps_of(1, is_packed=True), steps_of(1, is_packed=True, skipped=1)

    assert [_rows(step) for step in second] == [_rows(both[1])]


def test_packing_takes_fewer_passes_and_no_padding() -> None:
    (packed,), (padded,) = steps_of(1, is_packed=True), steps_of(1, is_packed=False)

    assert len(packed[0].passes) < len(padded[0].passes) == 4
    assert all(99 not in inputs["input_ids"] for inputs in packed[0].passes)
    assert any(99 in inputs["input_ids"] for inputs in padded[0].passes)


def test_both_answers_of_a_pair_follow_the_prompt_and_are_cut_with_it() -> None:
    steps: Any = OptimizerSteps(PAIRS, PairForm(MAX_LENGTH), batching(is_packed=True, sequences=2))
    (inputs,) = steps[(1, 4)].passes

    assert inputs["row_lengths"] == (6, 9, 16, 16)
    assert inputs["labels"][0, :6].tolist() == [IGNORED] * 4 + [1, 1]
    assert "ref_chosen_logps" not in inputs

    reference = [float(row) for row in range(8)]
    steps.rows = RowsWithColumns(steps.rows, {"ref_chosen_logps": reference, "ref_rejected_logps": reference})
    (inputs,) = steps[(1, 4)].passes
    assert inputs["ref_chosen_logps"].tolist() == inputs["ref_rejected_logps"].tolist() == [1.0, 4.0]

"""FLOPs by hand."""

import pytest
from tests.paft_cli.estimates.shapes import SEVEN_B, llama_tensors, preference_setting, sft_setting

from paft_cli.estimates.base_shape import base_shape
from paft_cli.estimates.data_size import DataSize
from paft_cli.estimates.work import arm_work, forward_flops, head_flops, total_steps, training_flops

LINEAR = 2 * 1152
ADAPTER = 2 * 2 * 2 * (4 * 8 + 2 * 12 + 3 * 24)  # two layers, rank 2; q and o, k and v, three of the MLP
ATTENTION = 2 * 2 * 8 * 10  # two layers, 8 wide, sequences of 10: half of 4·n·d
HEAD = 2 * 8 * 32


def test_a_forward_pass_multiplies_with_every_weight_once() -> None:
    setting = sft_setting()
    assert forward_flops(setting, 10) == LINEAR + ADAPTER + ATTENTION
    assert forward_flops(setting, 10, with_adapter=False) == LINEAR + ATTENTION
    assert head_flops(setting) == HEAD


def test_frozen_weights_cost_one_product_backwards_and_trained_ones_two() -> None:
    forward = LINEAR + ADAPTER + ATTENTION
    backward = LINEAR + 2 * ADAPTER + 2.5 * ATTENTION
    assert training_flops(sft_setting(), 10) == forward + backward + 3 * HEAD
    checkpointed = sft_setting(gradient_checkpointing=True)
    assert training_flops(checkpointed, 10) == 2 * forward + backward + 3 * HEAD


def test_a_7b_base_costs_about_four_operations_a_weight() -> None:
    setting = sft_setting(base_shape(SEVEN_B, llama_tensors(SEVEN_B)), lora={"r": 16})
    assert training_flops(setting, 1000) == pytest.approx(4 * 7.11e9, rel=0.06)


def test_rows_that_fill_no_batch_are_left_out() -> None:
    setting = sft_setting(global_batch_size=4, epochs=3)
    work = arm_work(setting, DataSize(rows=10, tokens=100, context=10))
    # ⌊3 epochs × ⌊10 / 4⌋⌋ = 6 steps of 4 rows of 10 tokens.
    assert (work.steps, work.tokens, work.reference_tokens) == (6, 240, 0)
    assert work.flops == 240 * training_flops(setting, 10)


def test_the_reference_is_computed_once_for_each_row_that_is_used() -> None:
    setting = preference_setting(global_batch_size=4, epochs=3)
    work = arm_work(setting, DataSize(rows=10, tokens=200, context=10))
    assert (work.steps, work.tokens, work.reference_tokens) == (6, 480, 200)
    reference = 200 * (LINEAR + ATTENTION + HEAD)
    assert work.flops == pytest.approx(480 * training_flops(setting, 10) + reference)
    few = arm_work(preference_setting(global_batch_size=4, max_steps=1), DataSize(rows=10, tokens=200, context=10))
    assert (few.tokens, few.reference_tokens) == (80, 80)


def test_steps_are_those_of_the_trainer() -> None:
    from paft_trainer.data.schedule import total_steps as trained_steps

    for changes in ({}, {"epochs": 0.5}, {"epochs": 2.7}, {"max_steps": 5}):
        training = sft_setting(**changes).training
        for rows in (4, 7, 8, 103):
            assert total_steps(training, rows) == trained_steps(training, rows)

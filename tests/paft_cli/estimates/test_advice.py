"""Verdicts and remedies."""

from tests.paft_cli.estimates.shapes import SEVEN_B, llama_tensors, sft_setting

from paft_cli.estimates.advice import Advice, advise
from paft_cli.estimates.arm_setting import ArmSetting
from paft_cli.estimates.base_shape import base_shape
from paft_cli.estimates.memory import arm_memory

GB = 10**9


def setting(**changes: object) -> ArmSetting:
    """A 7B base on two GPUs."""
    training = {"max_length": 2048, "global_batch_size": 64, "micro_batch_size": 4} | changes
    return sft_setting(
        base_shape(SEVEN_B, llama_tensors(SEVEN_B)), lora={"r": 16}, resources={"gpus_per_node": 2}, **training
    )


def test_what_fits_needs_no_change() -> None:
    peak = arm_memory(setting()).peak
    assert advise(setting(), available=peak * 2) == Advice(fits=True, is_tight=False)
    assert advise(setting(), available=peak) == Advice(fits=True, is_tight=True)


def test_each_kind_of_change_that_is_enough_is_told_once() -> None:
    assert advise(setting(), available=40 * GB) == Advice(
        fits=False,
        is_tight=False,
        changes=(
            "training.gradientCheckpointing: true",
            "training.microBatchSize: 1",
            "training.maxLength: 512, which cuts longer rows",
        ),
    )


def test_checkpointing_comes_with_smaller_passes_where_it_is_not_enough_alone() -> None:
    changes = advise(setting(), available=16 * GB).changes
    assert changes[0] == "training.gradientCheckpointing: true with training.microBatchSize: 2"


def test_where_no_change_alone_is_enough_they_are_told_together() -> None:
    advice = advise(setting(gradient_checkpointing=True, micro_batch_size=1, max_length=256), available=9 * GB)
    assert advice.changes == ("resources: 4 processes (nodes × gpusPerNode)",)
    advice = advise(setting(global_batch_size=8), available=6 * GB)
    assert advice.changes == (
        "training.gradientCheckpointing: true with training.microBatchSize: 1 and resources: 16 processes (nodes × "
        "gpusPerNode) and training.globalBatchSize: 16",
    )


def test_every_change_that_is_told_does_fit() -> None:
    from paft_cli.estimates.advice import _changes

    for words in advise(setting(), available=40 * GB).changes:
        (changed,) = (found for kind in _changes(setting()) for name, found in kind if name == words)
        assert arm_memory(changed).peak <= 40 * GB


def test_what_never_fits_has_no_remedy() -> None:
    assert advise(setting(), available=1 * GB) == Advice(fits=False, is_tight=False)

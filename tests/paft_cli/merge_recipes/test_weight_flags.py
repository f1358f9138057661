"""`--weight`."""

import pytest

from paft_cli.errors import CommandError
from paft_cli.merge_recipes.weight_flags import weights_of


@pytest.mark.parametrize(
    ("flags", "entries"),
    [
        ([], [{"sft": 1.0, "preference": 1.0}]),
        (["sft=0.7"], [{"sft": 0.7, "preference": 1.0}]),
        (
            ["*.mlp.*:sft=0.5", "preference=-2", "*:preference=1e-1"],
            [
                {"sft": 1.0, "preference": -2.0},
                {"modules": "*.mlp.*", "sft": 0.5, "preference": -2.0},
                {"modules": "*", "sft": 1.0, "preference": 0.1},
            ],
        ),
        (
            ["*.q_proj:sft=0.5", "*.q_proj:preference=0.25"],
            [{"sft": 1.0, "preference": 1.0}, {"modules": "*.q_proj", "sft": 0.5, "preference": 0.25}],
        ),
        (["a=b:sft=0.5"], [{"sft": 1.0, "preference": 1.0}, {"modules": "a=b", "sft": 0.5, "preference": 1.0}]),
    ],
)
def test_flags_become_entries(flags: list[str], entries: list[object]) -> None:
    assert weights_of(flags) == entries


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["sft"], "--weight sft: write sft=… or preference=…, or for some modules '*.mlp.*:sft=…'"),
        (["dpo=1"], "--weight dpo=1: write sft=… or preference=…, or for some modules '*.mlp.*:sft=…'"),
        ([":sft=1"], "--weight :sft=1: write sft=… or preference=…, or for some modules '*.mlp.*:sft=…'"),
        (["*:sft=much"], "--weight *:sft=much: 'much' is no number; write such as sft=0.7"),
        (["*:sft=1", "sft=1", "*:sft=2"], "--weight *:sft=2: sft is given twice there; give it once"),
    ],
)
def test_flags_that_cannot_work_are_named(flags: list[str], message: str) -> None:
    with pytest.raises(CommandError) as caught:
        weights_of(flags)
    assert str(caught.value) == message

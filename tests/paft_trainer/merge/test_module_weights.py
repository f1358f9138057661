"""Which weights a module gets."""

import json
from typing import Any

import pytest

from paft_api.spec.merge_weights import ArmWeights
from paft_trainer.merge.module_weights import last_layer, layer_of, module_weights

QUERY, UP, HEAD = "model.layers.{}.self_attn.q_proj", "model.layers.{}.mlp.up_proj", "lm_head"


def weights_of(module: str, *entries: dict[str, Any], last: int = 7) -> tuple[float, float]:
    return module_weights([ArmWeights.model_validate_json(json.dumps(entry)) for entry in entries], module, last=last)


FIRST = {"sft": 1.0, "preference": 0.5}


def test_the_last_entry_that_fits_holds() -> None:
    entries = (FIRST, {"modules": "*.mlp.*", "sft": 0.25}, {"modules": "*.up_proj", "preference": 2.0})
    assert weights_of(HEAD, *entries) == (1.0, 0.5)
    assert weights_of("model.layers.3.mlp.down_proj", *entries) == (0.25, 1.0)
    assert weights_of(UP.format(3), *entries) == (1.0, 2.0)


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ("model.layers.3.*", True),
        ("*.q_proj", True),
        ("q_proj", False),  # the whole name is meant
        ("*.Q_PROJ", False),
        ("model.layers.?.self_attn.[qk]_proj", True),
        ("*.[!q]_proj", False),
    ],
)
def test_patterns(pattern: str, fits: bool) -> None:
    weights = weights_of(QUERY.format(3), FIRST, {"modules": pattern, "sft": 9.0})
    assert weights == ((9.0, 1.0) if fits else (1.0, 0.5))


@pytest.mark.parametrize(
    ("layers", "inside"),
    [
        ({"first": 2, "last": 4}, [2, 3, 4]),
        ({"first": 5}, [5, 6, 7]),
        ({"last": 1}, [0, 1]),
        ({"first": 3, "last": 3}, [3]),
        ({}, [0, 1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_layers_include_both_ends_and_nothing_outside_of_layers(layers: dict[str, int], inside: list[int]) -> None:
    entries = (FIRST, {"layers": layers, "sft": 9.0})
    assert [layer for layer in range(8) if weights_of(UP.format(layer), *entries) == (9.0, 1.0)] == inside
    assert weights_of(HEAD, *entries) == (1.0, 0.5)


def test_a_gradient_is_linear_between_anchors_that_lie_at_equal_distances() -> None:
    anchors = [{"sft": 0.0, "preference": 1.0}, {"sft": 1.0, "preference": 1.0}, {"sft": 1.0, "preference": 0.0}]
    found = [weights_of(UP.format(layer), {"gradient": anchors}, last=8) for layer in range(9)]
    assert found == [
        (0.0, 1.0),
        (0.25, 1.0),
        (0.5, 1.0),
        (0.75, 1.0),
        (1.0, 1.0),
        (1.0, 0.75),
        (1.0, 0.5),
        (1.0, 0.25),
        (1.0, 0.0),
    ]
    assert weights_of(HEAD, {"gradient": anchors}) == (0.0, 1.0)


def test_a_gradient_runs_from_the_first_to_the_last_layer_of_its_entry() -> None:
    entry = {"layers": {"first": 2, "last": 4}, "gradient": [{"sft": 0.0}, {"sft": 1.0}]}
    found = [weights_of(UP.format(layer), FIRST, entry)[0] for layer in range(6)]
    assert found == [1.0, 1.0, 0.0, 0.5, 1.0, 1.0]
    open_end = {"layers": {"first": 6}, "gradient": [{"sft": 0.0}, {"sft": 1.0}]}
    assert [weights_of(UP.format(layer), FIRST, open_end, last=8)[0] for layer in (6, 7, 8)] == [0.0, 0.5, 1.0]
    single = {"layers": {"first": 3, "last": 3}, "gradient": [{"sft": 0.25}, {"sft": 1.0}]}
    assert weights_of(UP.format(3), FIRST, single)[0] == 0.25


@pytest.mark.parametrize(
    ("module", "layer"),
    [
        (QUERY.format(12), 12),
        ("model.layers.1.block_sparse_moe.experts.5.w1", 1),
        ("transformer.h.7", 7),
        ("model.layers2.mlp", None),
        ("lm_head", None),
        ("0.linear", 0),
    ],
)
def test_the_layer_is_the_first_number_in_the_name(module: str, layer: int | None) -> None:
    assert layer_of(module) == layer
    assert layer_of(f"{module}.weight") == layer


def test_the_last_layer() -> None:
    assert last_layer([QUERY.format(3), UP.format(11), "lm_head"]) == 11
    assert last_layer(["lm_head"]) == 0

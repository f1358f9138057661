"""Activations by hand, and as torch keeps them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tests.paft_cli.estimates.shapes import sft_setting, tiny_base
from tests.tiny_models import Architecture, build_checkpoint
from transformers import AutoModelForCausalLM

from paft_api.spec.base import BaseSpec
from paft_api.spec.lora import LoraSpec
from paft_cli.base_reading import read_base_shape
from paft_cli.estimates.activations import (
    checkpoint_bytes,
    first_norm_bytes,
    layer_activations,
    output_bytes,
)
from paft_cli.estimates.adapter import adapted_modules
from paft_trainer.storage.file_store import FileStore, uri_of
from paft_trainer.training.isolated_attention import isolate_rows

TOKENS = 64


def test_a_layer_in_bf16_by_hand() -> None:
    setting = sft_setting()
    layer = layer_activations(setting.base, setting.modules, setting.lora, element_bytes=2)
    norms = 2 * (8 + 1) * 4
    attention = 2 * (8 + 4 + 4 + 8) + 2 * 8 + 2 * 8 + 2 * 4  # q, k, v and output; both inputs; a number for each head
    mlp = 2 * (3 * 16 + 8 + 16)  # gate, its activation, up; both inputs
    adapters = 7 * 2 * 2
    assert layer.kept == norms + attention + mlp + adapters
    assert layer.working == 2 * 2 * (16 + 8)


def test_what_is_not_adapted_keeps_no_input() -> None:
    base, lora = tiny_base(), LoraSpec(r=2, target_modules=("q_proj",))
    layer = layer_activations(base, adapted_modules(base, lora), lora, element_bytes=2)
    assert layer.kept == 72 + 2 * (8 + 4 + 4 + 8) + 2 * 8 + 2 * 4 + 2 * 3 * 16 + 2 * 2


def test_dropout_keeps_inputs_and_masks() -> None:
    setting = sft_setting(lora={"dropout": 0.1})
    without = sft_setting()
    inputs = 6 * 8 + 16
    kept = [layer_activations(one.base, one.modules, one.lora, element_bytes=2).kept for one in (setting, without)]
    assert kept[0] - kept[1] == inputs * 3


def test_checkpointing_keeps_the_input_of_each_layer() -> None:
    assert checkpoint_bytes(tiny_base(), 2) == 16


def test_outside_of_layers_there_are_a_norm_the_heads_input_and_rotations() -> None:
    assert output_bytes(tiny_base(), 2) == 9 * 4 + (8 + 2 * 4) * 2
    assert first_norm_bytes(tiny_base()) == 36


@pytest.mark.parametrize("architecture", ["llama", "mistral", "qwen2"])
def test_as_many_bytes_are_counted_as_torch_keeps(tmp_path: Path, architecture: Architecture) -> None:
    folder = build_checkpoint(tmp_path / "base", architecture, hidden_size=64)
    base = read_base_shape(FileStore(), BaseSpec(uri=uri_of(folder) + "/"))
    # The forward pass here ends with the last norm, whose output nothing keeps.
    end = output_bytes(base, 4) - 4 * base.hidden_size
    for lora in (LoraSpec(r=4), LoraSpec(r=8, target_modules=("q_proj", "v_proj"))):
        layer = layer_activations(base, adapted_modules(base, lora), lora, element_bytes=4)
        counted = TOKENS * (base.layers * layer.kept - first_norm_bytes(base) + end)
        assert counted == pytest.approx(_kept_bytes(folder, lora), rel=0.002)
    # Where attention is not adapted, the first layer keeps none of it.
    lora = LoraSpec(r=2, target_modules=("down_proj",))
    layer = layer_activations(base, adapted_modules(base, lora), lora, element_bytes=4)
    assert TOKENS * (layer.kept + end) < _kept_bytes(folder, lora) < TOKENS * (2 * layer.kept + end)


def _kept_bytes(folder: Path, lora: LoraSpec) -> int:
    """Of storages that autograd keeps, parameters left out."""
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    assert isolate_rows(model)
    targets = "all-linear" if lora.target_modules == ("all-linear",) else list(lora.target_modules)
    model = get_peft_model(model, LoraConfig(r=lora.r, target_modules=targets, task_type="CAUSAL_LM"))
    model.train()
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        address = tensor.untyped_storage().data_ptr()
        if address not in own:
            kept[address] = tensor
        return tensor

    ids = torch.arange(TOKENS)[None]
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model.base_model.model.model(input_ids=ids, position_ids=ids, use_cache=False)
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())

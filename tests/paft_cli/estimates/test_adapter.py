"""Adapters by hand, and as PEFT builds them."""

from pathlib import Path
from typing import Any

import pytest
from peft import get_peft_model
from tests.paft_cli.estimates.shapes import tiny_base
from tests.tiny_models import build_checkpoint
from transformers import AutoModelForCausalLM

from paft_api.spec.base import BaseSpec
from paft_api.spec.lora import LoraSpec
from paft_cli.base_reading import read_base_shape
from paft_cli.estimates.adapter import adapted_modules, adapter_parameters, whole_parameters
from paft_trainer.storage.file_store import FileStore, uri_of
from paft_trainer.training.adapter_targets import adapter_configuration


def test_each_module_has_r_rows_of_inputs_and_r_columns_of_outputs() -> None:
    lora = LoraSpec(r=2, target_modules=("q_proj", "down_proj"))
    modules = adapted_modules(tiny_base(), lora)
    assert [module.name.rpartition(".")[2] for module in modules] == ["q_proj", "down_proj"] * 2
    assert adapter_parameters(modules, lora) == 2 * (2 * (8 + 8) + 2 * (16 + 8))


LORAS: list[dict[str, Any]] = [
    {},
    {"target_modules": ("q_proj", "v_proj")},
    {"target_modules": ("mlp.up_proj",), "rank_pattern": {"1.mlp.up_proj": 7}},
    {"target_modules_pattern": r".*layers\.1\..*_proj", "exclude_modules": ("o_proj",)},
    {"layers_to_transform": (0,), "rank_pattern": {"(q|k)_proj": 5}},
    {"modules_to_save": ("lm_head", "norm", "input_layernorm")},
]


@pytest.mark.parametrize("options", LORAS, ids=str)
def test_as_many_parameters_are_counted_as_are_trained(tmp_path: Path, options: dict[str, Any]) -> None:
    folder = build_checkpoint(tmp_path / "base")
    base = read_base_shape(FileStore(), BaseSpec(uri=uri_of(folder) + "/"))
    lora = LoraSpec(r=3, **options)
    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    adapted = get_peft_model(model, adapter_configuration(model, lora))
    trained = sum(parameter.numel() for parameter in adapted.parameters() if parameter.requires_grad)
    assert adapter_parameters(adapted_modules(base, lora), lora) + whole_parameters(base, lora) == trained

"""Adapters by hand, and as PEFT builds them."""

from pathlib import Path

import pytest
from peft import LoraConfig, get_peft_model
from tests.paft_cli.estimates.shapes import tiny_base
from tests.tiny_models import build_checkpoint
from transformers import AutoModelForCausalLM

from paft_api.spec.base import BaseSpec
from paft_api.spec.lora import LoraSpec
from paft_cli.base_reading import read_base_shape
from paft_cli.estimates.adapter import adapted_modules, adapter_parameters
from paft_trainer.storage.file_store import FileStore, uri_of


def test_each_module_has_r_rows_of_inputs_and_r_columns_of_outputs() -> None:
    modules = adapted_modules(tiny_base(), LoraSpec(r=2, target_modules=("q_proj", "down_proj")))
    assert [module.name.rpartition(".")[2] for module in modules] == ["q_proj", "down_proj"] * 2
    assert adapter_parameters(modules, 2) == 2 * (2 * (8 + 8) + 2 * (16 + 8))


@pytest.mark.parametrize("targets", [("all-linear",), ("q_proj", "v_proj"), ("mlp.up_proj",)])
def test_as_many_parameters_are_counted_as_peft_trains(tmp_path: Path, targets: tuple[str, ...]) -> None:
    folder = build_checkpoint(tmp_path / "base")
    base = read_base_shape(FileStore(), BaseSpec(uri=uri_of(folder) + "/"))
    wanted = "all-linear" if targets == ("all-linear",) else list(targets)
    configuration = LoraConfig(r=3, target_modules=wanted, task_type="CAUSAL_LM")
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(folder), configuration)
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    assert adapter_parameters(adapted_modules(base, LoraSpec(r=3, target_modules=targets)), 3) == trained

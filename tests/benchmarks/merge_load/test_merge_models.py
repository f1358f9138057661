"""The random models of the merge benchmark are what mergekit, PEFT and a merge load."""

from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks.merge_load.models import prepare_models, write_models
from benchmarks.merge_load.shapes import SIZES, START_UP
from peft import PeftModel
from safetensors.torch import load_file
from tests.merges import load_checkpoint, reference_deltas
from transformers import AutoModelForCausalLM


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("merge-load") / "models"
    write_models(folder, START_UP)
    return folder


def test_sizes_have_the_parameters_they_are_named_after() -> None:
    parameters = {name: round(shape.weight_bytes / 2 / 1e9, 1) for name, shape in SIZES.items()}

    assert parameters == {"0.3b": 0.3, "1.1b": 1.1, "7b": 6.7}


def test_peft_loads_base_and_both_adapters_without_anything_missing(models: Path) -> None:
    base, loaded = AutoModelForCausalLM.from_pretrained(models / "base", dtype=torch.bfloat16, output_loading_info=True)
    adapted = PeftModel.from_pretrained(base, models / "sft", adapter_name="sft")
    adapted.load_adapter(models / "preference", adapter_name="preference")

    assert not loaded["missing_keys"] | loaded["unexpected_keys"]
    assert sum(parameter.numel() for parameter in base.parameters() if parameter.dim() > 1) > START_UP.adapted_elements
    assert set(adapted.peft_config) == {"sft", "preference"}


def test_deltas_have_the_size_of_a_short_fine_tuning(models: Path) -> None:
    for arm in ("sft", "preference"):
        deltas = np.concatenate([delta.ravel() for delta in reference_deltas(models / arm).values()])
        assert 2e-4 < deltas.std() < 8e-4


def test_half_of_the_sft_adapter_is_zero_in_rows_and_in_entries(models: Path) -> None:
    tensors = load_file(models / "sft" / "adapter_model.safetensors")
    b = torch.cat([tensor for name, tensor in tensors.items() if "lora_B" in name])
    rows_of_zeros = (b == 0).all(dim=1)

    assert 0.45 < (b == 0).float().mean() < 0.57
    assert 0.25 < rows_of_zeros.float().mean() < 0.35
    assert (b[~rows_of_zeros] == 0).any()


def test_weights_are_rounded_to_nearest_and_of_the_wanted_size(models: Path) -> None:
    tensors = load_checkpoint(models / "base")

    assert all(tensor.dtype == torch.bfloat16 for tensor in tensors.values())
    weights = torch.cat([tensor.float().ravel() for tensor in tensors.values() if tensor.dim() > 1])
    assert abs(weights.mean()) < 2e-4
    assert weights.std() == pytest.approx(0.02, rel=0.02)


def test_models_are_made_once(tmp_path: Path) -> None:
    first = prepare_models("start-up", tmp_path)
    written = {path: path.stat().st_mtime_ns for path in first.rglob("*")}

    assert prepare_models("start-up", tmp_path) == first
    assert {path: path.stat().st_mtime_ns for path in first.rglob("*")} == written
    assert list(tmp_path.iterdir()) == [first]

"""A small fp32 base with adapters so large that other tools' rounding does not matter, and merges of them."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.merges import folder_uri, load_checkpoint, merge_run_spec, reference_deltas, run_merge
from tests.paft_trainer.merge.peers.cases import EXACT, RANDOM, SMALL, Case
from tests.tiny_models import build_adapter, build_checkpoint

from paft_api.run_spec import RunSpec

HIDDEN = 96
STD = 0.05
"""Of both factors: ΔW has 0.01, a tenth of the weights'."""
SMALL_STDS = {"small-sft": 0.01, "small-preference": 0.007}
"""Of adapters whose ΔW have 4e-4 and 2e-4, as after a short fine-tuning."""

Changes = dict[str, np.ndarray]
"""Merged weight minus base, in float64, by name."""


@pytest.fixture(scope="package")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with base, sft and preference, and small adapters. Parts of the SFT adapter's B are 0."""
    folder = tmp_path_factory.mktemp("peers")
    build_checkpoint(folder / "base", dtype=torch.float32, hidden_size=HIDDEN)
    build_adapter(folder / "sft", folder / "base", seed=1, std=STD)
    build_adapter(folder / "preference", folder / "base", seed=2, std=STD, r=8, alpha=12)
    _zero_a_part(folder / "sft" / "adapter_model.safetensors")
    for seed, (name, std) in enumerate(SMALL_STDS.items(), start=3):
        build_adapter(folder / name, folder / "base", seed=seed, std=std)
    return folder


@pytest.fixture(scope="package")
def deltas(large: Path) -> dict[str, Changes]:
    """ΔW of every adapter in float64."""
    return {name: reference_deltas(large / name) for name in ("sft", "preference", *SMALL_STDS)}


@pytest.fixture(scope="package")
def mergekit_changes(large: Path) -> Callable[[str], Changes]:
    """What mergekit's merge of a case changes, by the case's name."""
    recipes = {
        case.name: case.recipe(large / "base", *(large / adapter for adapter in case.adapters))
        for case in (*EXACT, *RANDOM, SMALL)
    }
    (large / "recipes.json").write_text(json.dumps(recipes))
    command = [sys.executable, "-m", "tests.paft_trainer.merge.peers.mergekit_runs"]
    ended = subprocess.run(
        [*command, str(large / "recipes.json"), str(large / "mergekit")],
        cwd=Path(__file__).parents[4],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    return lambda name: changes_of(large / "base", large / "mergekit" / name)


@pytest.fixture
def our_changes(large: Path, tmp_path: Path) -> Callable[[Case], Changes]:
    """What our merge of a case changes."""

    def merge(case: Case) -> Changes:
        output = tmp_path / f"merged-{case.name}"
        run_merge(run_spec_of(case, large, output, tmp_path / "artifacts"))
        before, after = load_checkpoint(large / "base"), load_checkpoint(output)
        assert all(torch.equal(before[name], after[name]) for name in before if not is_adapted(name))
        return changes_of(large / "base", output)

    return merge


def run_spec_of(case: Case, models: Path, output: Path, artifacts: Path) -> RunSpec:
    """A merge of base and adapters in `models`."""
    sft, preference = (folder_uri(models / adapter) for adapter in case.adapters)
    document = merge_run_spec(
        base=folder_uri(models / "base"),
        sft=sft,
        preference=preference,
        output=folder_uri(output),
        artifacts=folder_uri(artifacts),
    ).to_document()
    document["merge"]["spec"] = {**case.our_options(), "output": {"uri": folder_uri(output)}}
    return RunSpec.model_validate_json(json.dumps(document))


def changes_of(base: Path, merged: Path) -> Changes:
    """Of every tensor that adapters change."""
    before, after = load_checkpoint(base), load_checkpoint(merged)
    assert after.keys() == before.keys()
    return {name: (after[name].double() - before[name].double()).numpy() for name in before if is_adapted(name)}


def is_adapted(name: str) -> bool:
    """Whether a tensor is a linear module's weight."""
    return name.endswith("_proj.weight")


def _zero_a_part(path: Path) -> None:
    random = torch.Generator().manual_seed(3)
    tensors = load_file(path)
    for name, tensor in tensors.items():
        if "lora_B" in name:
            tensor[torch.rand(tensor.shape[0], generator=random) < 0.3] = 0
            tensor[torch.rand(tensor.shape, generator=random) < 0.3] = 0
    save_file(tensors, path, metadata={"format": "pt"})

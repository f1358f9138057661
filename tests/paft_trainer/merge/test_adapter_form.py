"""Merges written as adapters: stock PEFT loads them, and they are the merged deltas, or the closest of their rank."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from tests.merges import (
    FailingStore,
    Interrupted,
    folder_bytes,
    folder_uri,
    load_checkpoint,
    merge_run_spec,
    reference_deltas,
    run_merge,
)
from tests.tiny_models import build_adapter, build_checkpoint
from transformers import AutoModelForCausalLM

from paft_api.run_spec import RunSpec
from paft_trainer.merge import stage
from paft_trainer.storage.file_store import FileStore
from paft_trainer.verification import verify

Spec = Callable[..., RunSpec]

SUMS: dict[str, dict[str, Any]] = {
    "linear": {"method": "linear", "weights": (0.3, 1.1)},
    "task_arithmetic": {"method": "task_arithmetic", "weights": (1.0, -0.5)},
    "sft_only": {"method": "sft_only", "weights": (0.5, 1.0)},
    "preference_only": {"method": "preference_only"},
    "slerp": {"method": "slerp", "weights": (1.0, 2.0), "options": {"balance": "Tensor", "lambda": 0.5}},
    "model_stock": {"method": "model_stock"},
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Arms that differ in rank, scale and modules."""
    root = tmp_path_factory.mktemp("adapter-form")
    base = build_checkpoint(root / "base")
    build_adapter(root / "sft", base, r=3, alpha=5, seed=1, use_rslora=True, rank_pattern={"layers.1.mlp.up_proj": 5})
    build_adapter(root / "preference", base, r=6, seed=2, target_modules=r".*layers\.[01]\.self_attn\.[qv]_proj")
    return root


@pytest.fixture
def spec(root: Path, tmp_path: Path) -> Spec:
    def make(out: str = "out", form: str = "Adapter", **options: Any) -> RunSpec:
        folders = {name: folder_uri(root / name) for name in ("base", "sft", "preference")}
        places = {"output": folder_uri(tmp_path / out), "artifacts": folder_uri(tmp_path / "artifacts")}
        return merge_run_spec(**folders | places | {"form": form} | options)

    return make


def loaded(root: Path, folder: Path) -> PeftModel:
    return PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(root / "base"), folder)


def written_deltas(root: Path, folder: Path) -> dict[str, np.ndarray]:
    """ΔW by name, as PEFT computes it."""
    model = loaded(root, folder)
    return {
        name.removeprefix("base_model.model.") + ".weight": module.get_delta_weight("default").detach().double().numpy()
        for name, module in model.named_modules()
        if "default" in getattr(module, "lora_A", {})
    }


def exact_deltas(root: Path, full: Path) -> dict[str, np.ndarray]:
    """What a fused fp32 checkpoint adds to its base."""
    before, after = load_checkpoint(root / "base"), load_checkpoint(full)
    return {name: (after[name].double() - before[name].double()).numpy() for name in before}


@pytest.mark.parametrize("name", SUMS)
def test_weighted_sums_of_deltas_are_exact(root: Path, tmp_path: Path, spec: Spec, name: str) -> None:
    result = run_merge(spec(**SUMS[name]))
    run_merge(spec("full", "Full", **SUMS[name]))
    written, exact = written_deltas(root, tmp_path / "out"), exact_deltas(root, tmp_path / "full")
    sft, preference = (reference_deltas(root / arm) for arm in ("sft", "preference"))
    assert written.keys() == sft.keys() | preference.keys()
    for weight, delta in exact.items():
        if weight in written:
            assert np.abs(written[weight] - delta).max() < 1e-7
        else:
            assert not delta.any()
    assert result.merged_tensors == len(written)
    tokens = torch.arange(20)[None]
    with torch.no_grad():
        fused = AutoModelForCausalLM.from_pretrained(tmp_path / "full")(tokens).logits
        assert torch.allclose(loaded(root, tmp_path / "out")(tokens).logits, fused, atol=1e-5)


def test_factors_lie_side_by_side_and_the_targets_are_exactly_these(root: Path, tmp_path: Path, spec: Spec) -> None:
    run_merge(spec(method="task_arithmetic"))
    configuration = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    ranks = {
        name.removeprefix("base_model.model.").removesuffix(".lora_A.weight"): tensor.shape[0]
        for name, tensor in load_file(tmp_path / "out" / "adapter_model.safetensors").items()
        if "lora_A" in name
    }
    assert ranks["model.layers.0.self_attn.q_proj"] == 3 + 6
    assert ranks["model.layers.0.self_attn.k_proj"] == 3
    assert ranks["model.layers.1.mlp.up_proj"] == 5
    assert configuration["r"] == configuration["lora_alpha"] == 3
    assert len(configuration["rank_pattern"]) == 5
    assert configuration["target_modules"] == sorted(
        ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]
    )


def test_modules_that_only_some_layers_have_are_named_in_full(root: Path, tmp_path: Path, spec: Spec) -> None:
    arm = build_adapter(tmp_path / "one", root / "base", target_modules=["layers.1.self_attn.q_proj"])
    other = build_adapter(tmp_path / "other", root / "base", target_modules=["down_proj"])
    run_merge(spec(method="linear", sft=folder_uri(arm), preference=folder_uri(other)))
    written = written_deltas(root, tmp_path / "out")
    assert sorted(written) == [
        "model.layers.0.mlp.down_proj.weight",
        "model.layers.1.mlp.down_proj.weight",
        "model.layers.1.self_attn.q_proj.weight",
    ]


def test_other_methods_get_the_closest_factors_of_their_rank(root: Path, tmp_path: Path, spec: Spec) -> None:
    options: dict[str, Any] = {"method": "ties", "density": 0.4, "rank": 4}
    result = run_merge(spec(**options))
    run_merge(spec("full", "Full", method="ties", density=0.4))
    written, exact = written_deltas(root, tmp_path / "out"), exact_deltas(root, tmp_path / "full")
    report = json.loads((tmp_path / "out" / "merge_interference.json").read_text())
    told = {entry["name"]: entry["rankError"] for entry in report["tensors"]}
    squares = {"left": 0.0, "all": 0.0}
    for name, approximation in written.items():
        delta = exact[name]
        left = np.linalg.norm(delta - approximation)
        best = np.sqrt((np.linalg.svd(delta, compute_uv=False)[4:] ** 2).sum())
        assert left == pytest.approx(best, rel=0.005)
        assert told[name] == pytest.approx(left / np.linalg.norm(delta), rel=1e-3)
        squares["left"] += left**2
        squares["all"] += np.linalg.norm(delta) ** 2
    assert report["model"]["rankError"] == pytest.approx(np.sqrt(squares["left"] / squares["all"]), rel=1e-3)
    assert report["model"]["zeroAfterRounding"] is None
    assert [warning for warning in result.warnings if "raise output.rank" in warning]
    assert result.warnings == tuple(report["warnings"])


def test_a_rank_that_is_enough_leaves_nothing_out(root: Path, tmp_path: Path, spec: Spec) -> None:
    """All of TIES' deltas are kept, so that their rank is that of both arms."""
    result = run_merge(spec(method="dare_linear", density=1.0))
    report = json.loads((tmp_path / "out" / "merge_interference.json").read_text())
    assert report["model"]["rankError"] < 1e-6
    assert not [warning for warning in result.warnings if "rank" in warning]
    run_merge(spec("sums", method="task_arithmetic"))
    written, sums = written_deltas(root, tmp_path / "out"), written_deltas(root, tmp_path / "sums")
    assert all(np.abs(written[name] - delta).max() < 1e-6 for name, delta in sums.items())


def test_a_sum_is_cut_to_a_lower_rank_where_that_is_asked_for(root: Path, tmp_path: Path, spec: Spec) -> None:
    run_merge(spec(method="task_arithmetic", rank=4))
    tensors = load_file(tmp_path / "out" / "adapter_model.safetensors")
    ranks = {tensor.shape[0] for name, tensor in tensors.items() if "lora_A" in name}
    assert ranks == {3, 4}
    report = json.loads((tmp_path / "out" / "merge_interference.json").read_text())
    errors = {entry["name"]: entry["rankError"] for entry in report["tensors"]}
    assert errors["model.layers.0.self_attn.q_proj.weight"] > 0.05
    assert errors["model.layers.0.self_attn.k_proj.weight"] is None


def test_the_bytes_depend_on_neither_workers_nor_the_run(
    root: Path, tmp_path: Path, spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"method": "dare_ties", "rank": 3}
    run_merge(spec("once", **options))
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1, 2, 3, 4})
    run_merge(spec("twice", **options))
    once, twice = folder_bytes(tmp_path / "once"), folder_bytes(tmp_path / "twice")
    assert once == twice


@pytest.mark.parametrize("method", ["linear", "ties"])
def test_an_interrupted_adapter_is_finished_and_a_finished_one_adopted(
    root: Path, tmp_path: Path, spec: Spec, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    run_merge(spec("whole", method=method))
    whole = folder_bytes(tmp_path / "whole")
    changes = counted(monkeypatch, lambda: run_merge(spec("counted", method=method)))
    names = [uri.rsplit("/", 1)[1] for uri in changes]
    assert names[0] == "paft_claim.json"
    assert names[-2:] == ["adapter_config.json", "merge_manifest.json"]
    for fail_at in range(1, len(changes)):
        folder = f"at-{fail_at}"
        with pytest.raises(Interrupted):
            counted(monkeypatch, lambda folder=folder: run_merge(spec(folder, method=method)), fail_at=fail_at)
        assert not (tmp_path / folder / "merge_manifest.json").exists()
        again = counted(monkeypatch, lambda folder=folder: run_merge(spec(folder, method=method)))
        is_recorded = fail_at > names.index(".paft-shard-adapter_model.safetensors.json")
        assert any(uri.endswith("/adapter_model.safetensors") for uri in again) is not is_recorded
        assert folder_bytes(tmp_path / folder) == whole
    result = run_merge(spec("whole", method=method))
    assert result.adopted
    assert folder_bytes(tmp_path / "whole") == whole


def counted(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object], *, fail_at: int | None = None) -> list[str]:
    """Changes of the store that a merge makes."""
    store = FailingStore(FileStore(), fail_at=fail_at)
    with monkeypatch.context() as patched:
        patched.setattr(stage, "open_stage_store", lambda *arguments, **options: store)
        act()
    return store.changes


def test_no_weight_of_the_base_is_read(root: Path, tmp_path: Path, spec: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FailingStore(FileStore())
    monkeypatch.setattr(stage, "open_stage_store", lambda *arguments, **options: store)
    run_merge(spec(method="ties", rank=2))
    base = folder_uri(root / "base") + "model.safetensors"
    header = 8 + int.from_bytes((root / "base" / "model.safetensors").read_bytes()[:8], "little")
    ranges = [(start, size) for uri, start, size in store.ranges if uri == base]
    assert ranges
    assert all(start + size <= header for start, size in ranges)


def test_it_verifies_and_its_card_says_what_it_is(root: Path, tmp_path: Path, spec: Spec) -> None:
    run_merge(spec(method="linear"))
    (folder,) = verify(FileStore(), folder_uri(tmp_path / "out"), artifacts_uri=folder_uri(tmp_path / "a")).folders
    assert folder.kind == "merge"
    assert not folder.problems
    manifest = json.loads((tmp_path / "out" / "merge_manifest.json").read_text())
    assert (manifest["kind"], manifest["merge"]["form"]) == ("merge", "Adapter")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "library_name: peft" in card
    assert "base_model_relation: adapter" in card
    assert "rank: None" not in card
    configuration = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert configuration["base_model_name_or_path"] == str(root / "base")
    path = tmp_path / "out" / "adapter_model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    (folder,) = verify(FileStore(), folder_uri(tmp_path / "out"), artifacts_uri=folder_uri(tmp_path / "a")).folders
    assert folder.problems


def test_it_can_be_merged_again(root: Path, tmp_path: Path, spec: Spec) -> None:
    run_merge(spec(method="task_arithmetic"))
    run_merge(spec("again", "Full", method="sft_only", sft=folder_uri(tmp_path / "out")))
    run_merge(spec("full", "Full", method="task_arithmetic"))
    again, full = load_checkpoint(tmp_path / "again"), load_checkpoint(tmp_path / "full")
    assert all(torch.allclose(again[name], tensor, atol=1e-7) for name, tensor in full.items())


def test_untrained_arms_give_an_adapter_that_does_nothing(root: Path, tmp_path: Path, spec: Spec) -> None:
    zero = build_adapter(tmp_path / "zero", root / "base", zero=True)
    for method in ("linear", "ties"):
        run_merge(spec(method, method=method, sft=folder_uri(zero), preference=folder_uri(zero)))
        assert all(not delta.any() for delta in written_deltas(root, tmp_path / method).values())

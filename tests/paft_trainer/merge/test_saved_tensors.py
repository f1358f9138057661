"""Adapters with embeddings, heads and norms of their own: what PEFT makes of them, the merge makes of them too."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from tests.merges import folder_uri, load_checkpoint, merge_run_spec, run_merge, write_adapter_manifest
from tests.tiny_models import build_adapter, build_checkpoint
from transformers import AutoModelForCausalLM

from paft_api.run_spec import RunSpec
from paft_trainer.errors import ArtifactMismatch
from paft_trainer.storage.file_store import FileStore
from paft_trainer.verification import verify

Spec = Callable[..., RunSpec]
EMBEDDING, HEAD, NORM = "model.embed_tokens.weight", "lm_head.weight", "model.norm.weight"
# PEFT says that a tied model and its adapter may part ways, which is what these adapters are about.
pytestmark = pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings", "ignore:Setting `save_embedding")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("saved")
    base = build_checkpoint(root / "base", dtype=torch.bfloat16, max_shard_size="30KB")
    tied = build_checkpoint(root / "tied", dtype=torch.bfloat16, tied=True)
    build_adapter(root / "plain", base, seed=2)
    build_adapter(root / "tied-plain", tied, seed=2)
    trained(root / "embedding", base, modules_to_save=["embed_tokens"])
    trained(root / "both", base, modules_to_save=["embed_tokens", "lm_head", "norm"])
    trained(root / "head", base, modules_to_save=["lm_head"])
    return root


def trained(folder: Path, base: Path, *, seed: int = 1, **options: Any) -> Path:
    """An adapter whose saved modules, in fp32, differ from the base's."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    options = {"target_modules": ["q_proj", "down_proj"]} | options
    model = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, task_type="CAUSAL_LM", **options))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                torch.nn.init.normal_(parameter, std=0.05)
            elif "modules_to_save" in name:
                parameter += 0.1 * torch.randn(parameter.shape)
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def spec(root: Path, tmp_path: Path) -> Spec:
    def make(
        sft: Path | str, preference: Path | str = "plain", *, base: str = "base", out: str = "out", **options: Any
    ) -> RunSpec:
        return merge_run_spec(
            base=folder_uri(root / base),
            sft=folder_uri(root / sft),
            preference=folder_uri(root / preference),
            output=folder_uri(tmp_path / out),
            artifacts=folder_uri(tmp_path / "artifacts"),
            **{"method": "task_arithmetic"} | options,
        )

    return make


def saved_by(adapter: Path) -> dict[str, torch.Tensor]:
    return {
        name.removeprefix("base_model.model."): tensor
        for name, tensor in load_file(adapter / "adapter_model.safetensors").items()
        if "lora_" not in name
    }


@pytest.mark.parametrize("arm", ["embedding", "both", "head"])
def test_the_output_has_them_as_they_are_in_the_bases_dtype(root: Path, tmp_path: Path, spec: Spec, arm: str) -> None:
    result = run_merge(spec(arm))
    before, after, saved = load_checkpoint(root / "base"), load_checkpoint(tmp_path / "out"), saved_by(root / arm)
    assert after.keys() == before.keys()
    for name, tensor in saved.items():
        assert after[name].dtype == torch.bfloat16
        assert torch.equal(after[name], tensor.to(torch.bfloat16))
        assert not torch.equal(after[name], before[name])
    manifest = json.loads((tmp_path / "out" / "merge_manifest.json").read_text())
    assert manifest["replacedTensors"].keys() == saved.keys()
    assert {one["arm"] for one in manifest["replacedTensors"].values()} == {"sft"}
    assert result.merged_tensors + result.copied_tensors + len(saved) == len(before)
    report = json.loads((tmp_path / "out" / "merge_interference.json").read_text())
    assert [one["name"] for one in report["replaced"]] == sorted(saved)
    assert [warning for warning in result.warnings if "the sft adapter's own" in warning]


def test_it_is_what_peft_merges(root: Path, tmp_path: Path, spec: Spec) -> None:
    run_merge(spec("both", method="sft_only"))
    model = AutoModelForCausalLM.from_pretrained(root / "base", dtype=torch.float32)
    stock = PeftModel.from_pretrained(model, root / "both").merge_and_unload().state_dict()
    for name, tensor in load_checkpoint(tmp_path / "out").items():
        assert torch.equal(tensor, stock[name].to(torch.bfloat16)), name


def test_each_merge_of_a_sweep_takes_what_its_arms_have(root: Path, tmp_path: Path, spec: Spec) -> None:
    candidates = [{"name": "other", "method": "preference_only"}, {"name": "own", "method": "sft_only"}]
    run_merge(spec("both", options={"candidates": candidates}))
    before, saved = load_checkpoint(root / "base"), saved_by(root / "both")
    for folder, takes in ((".", True), ("candidates/other", False), ("candidates/own", True)):
        after = load_checkpoint(tmp_path / "out" / folder)
        expected = saved[EMBEDDING].to(torch.bfloat16) if takes else before[EMBEDDING]
        assert torch.equal(after[EMBEDDING], expected)


@pytest.mark.parametrize("arm", ["embedding", "both"])
def test_an_adapter_carries_them_on(root: Path, tmp_path: Path, spec: Spec, arm: str) -> None:
    run_merge(spec(arm, form="Adapter"))
    run_merge(spec(arm, out="full"))
    assert all(torch.equal(tensor, saved_by(root / arm)[name]) for name, tensor in saved_by(tmp_path / "out").items())
    model = AutoModelForCausalLM.from_pretrained(root / "base", dtype=torch.float32)
    tokens = torch.arange(20)[None]
    with torch.no_grad():
        fused = AutoModelForCausalLM.from_pretrained(tmp_path / "full", dtype=torch.float32)(tokens).logits
        logits = PeftModel.from_pretrained(model, tmp_path / "out")(tokens).logits
        plain = AutoModelForCausalLM.from_pretrained(root / "base", dtype=torch.float32)(tokens).logits
    # bf16 of the fused checkpoint is what they differ by.
    assert (logits - fused).abs().max() < 0.03 * (plain - fused).abs().max()
    (folder,) = verify(FileStore(), folder_uri(tmp_path / "out"), artifacts_uri=folder_uri(tmp_path / "a")).folders
    assert not folder.problems


def test_a_head_that_stays_tied_is_taken_once(root: Path, tmp_path: Path, spec: Spec) -> None:
    arm = trained(tmp_path / "tied", root / "tied", modules_to_save=["embed_tokens"], ensure_weight_tying=True)
    assert saved_by(arm).keys() == {EMBEDDING, HEAD}
    run_merge(spec(arm, "tied-plain", base="tied"))
    after = load_checkpoint(tmp_path / "out")
    assert HEAD not in after
    assert torch.equal(after[EMBEDDING], saved_by(arm)[EMBEDDING].to(torch.bfloat16))
    run_merge(spec(arm, "tied-plain", base="tied", out="adapter", form="Adapter"))
    model = AutoModelForCausalLM.from_pretrained(root / "tied", dtype=torch.float32)
    tokens = torch.arange(20)[None]
    with torch.no_grad():
        fused = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32)(tokens).logits
        logits = PeftModel.from_pretrained(model, tmp_path / "adapter")(tokens).logits
        plain = AutoModelForCausalLM.from_pretrained(root / "tied", dtype=torch.float32)(tokens).logits
    assert (logits - fused).abs().max() < 0.03 * (plain - fused).abs().max()


def test_factors_of_a_head_with_its_copy_of_the_bases(root: Path, tmp_path: Path, spec: Spec) -> None:
    """PEFT saves the head's own weight where the head is among the targets."""
    arm = build_adapter(tmp_path / "head", root / "base", target_modules=["lm_head"])
    assert "base_model.model.lm_head.base_layer.weight" in load_file(arm / "adapter_model.safetensors")
    run_merge(spec(arm))
    assert not torch.equal(load_checkpoint(tmp_path / "out")[HEAD], load_checkpoint(root / "base")[HEAD])
    tensors = load_file(arm / "adapter_model.safetensors")
    tensors["base_model.model.lm_head.base_layer.weight"][3, 4] += 0.5
    save_file(tensors, arm / "adapter_model.safetensors")
    with pytest.raises(ArtifactMismatch, match=r"holds a copy of lm_head.weight, which is not the base's"):
        run_merge(spec(arm, out="again"))


def change(adapter: Path, **tensors: torch.Tensor) -> None:
    path = adapter / "adapter_model.safetensors"
    save_file(load_file(path) | {f"base_model.model.{name}": tensor for name, tensor in tensors.items()}, path)


def test_what_cannot_be_merged_is_refused_with_the_reason(root: Path, tmp_path: Path, spec: Spec) -> None:
    def refused(words: str, *arguments: Any, **options: Any) -> None:
        with pytest.raises(ArtifactMismatch, match=words) as caught:
            run_merge(spec(*arguments, **options))
        assert caught.value.remedy
        assert not (tmp_path / "out").exists()

    refused("both adapters hold a whole model.embed_tokens.weight", "embedding", "both")
    other = build_adapter(tmp_path / "other", root / "base", target_modules=["lm_head"])
    refused("holds a whole lm_head.weight, to which the preference adapter .* has a delta", "both", other)
    refused("holds a whole lm_head.weight, to which the sft adapter .* has a delta", other, "both")
    one = trained(tmp_path / "one", root / "base", modules_to_save=["embed_tokens"])
    change(one, **{EMBEDDING: torch.zeros(300, 32)})
    refused(r"of shape \[300, 32\], but the base's is \[259, 32\]: its vocabulary was resized", one)
    change(one, **{EMBEDDING: torch.zeros(259, 16)})
    refused("another base", one)
    change(one, **{EMBEDDING: torch.zeros(259, 32), "model.other.weight": torch.ones(3)})
    refused("holds a whole model.other.weight, which the base does not have", one)
    untied = trained(tmp_path / "untied", root / "tied", modules_to_save=["embed_tokens"])
    refused("config.json ties the head to the embedding", untied, "tied-plain", base="tied")


def test_one_arm_alone_may_be_merged_where_both_have_one(root: Path, tmp_path: Path, spec: Spec) -> None:
    run_merge(spec("embedding", "both", method="preference_only"))
    assert torch.equal(
        load_checkpoint(tmp_path / "out")[EMBEDDING], saved_by(root / "both")[EMBEDDING].to(torch.bfloat16)
    )


def test_what_leaves_the_bases_dtype_is_refused(root: Path, tmp_path: Path, spec: Spec) -> None:
    half = build_checkpoint(tmp_path / "half", dtype=torch.float16)
    one = trained(tmp_path / "one", half, modules_to_save=["embed_tokens"])
    tensors = load_file(one / "adapter_model.safetensors")
    tensors[f"base_model.model.{EMBEDDING}"][5, 6] = 1e6
    save_file(tensors, one / "adapter_model.safetensors")
    with pytest.raises(ArtifactMismatch, match=r"embed_tokens.weight of .* leaves the range of F16"):
        run_merge(spec(one, build_adapter(tmp_path / "two", half), base=str(half)))
    tensors[f"base_model.model.{EMBEDDING}"][5, 6] = float("nan")
    save_file(tensors, one / "adapter_model.safetensors")
    with pytest.raises(ArtifactMismatch, match="holds NaN or infinite values"):
        run_merge(spec(one, build_adapter(tmp_path / "two", half), base=str(half)))


def test_they_belong_to_the_adapters_digest(root: Path, tmp_path: Path, spec: Spec) -> None:
    one = trained(tmp_path / "one", root / "base", modules_to_save=["embed_tokens"])
    write_adapter_manifest(one, base_digest="sha256:" + "0" * 64)
    tensors = load_file(one / "adapter_model.safetensors")
    tensors[f"base_model.model.{EMBEDDING}"][0, 0] += 1
    save_file(tensors, one / "adapter_model.safetensors")
    with pytest.raises(ArtifactMismatch, match="its files have the digest"):
        run_merge(spec(one))

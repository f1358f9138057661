"""Whole merges of tiny checkpoints against a float64 reference, transformers and PEFT."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from tests.merge_references import Reference, reference_merge
from tests.merged_checkpoints import CountingArithmetic
from tests.merges import (
    folder_bytes,
    folder_uri,
    load_checkpoint,
    merge_run_spec,
    reference_deltas,
    run_merge,
    write_adapter_manifest,
)
from tests.tiny_models import Architecture, build_adapter, build_checkpoint
from transformers import AutoModelForCausalLM, AutoTokenizer

from paft_api.digests import file_set_digest
from paft_api.run_spec import RunSpec
from paft_api.spec.merge import MergeMethod, MergeOptions
from paft_trainer.base.index import index_base
from paft_trainer.merge.forms import full
from paft_trainer.storage.file_store import FileStore

ARCHITECTURES: dict[Architecture, tuple[torch.dtype, bool, str]] = {
    "llama": (torch.bfloat16, True, "5GB"),
    "mistral": (torch.float32, False, "60KB"),
    "qwen2": (torch.bfloat16, False, "30KB"),
}
"""dtype, tied embeddings, size of the base's shards."""

RECIPES: dict[str, dict[str, Any]] = {
    "linear": {"method": "linear", "weights": (0.3, 1.1), "lambda": 0.5},
    "task arithmetic": {"method": "task_arithmetic", "weights": (1.0, -0.5), "balance": "Model"},
    "ties": {"method": "ties", "weights": (1.0, 0.7), "density": 0.3},
    "ties over the model": {"method": "ties", "density": 0.3, "densityScope": "Model", "election": "Unweighted"},
    "ties, balanced over the model": {"method": "ties", "density": 0.2, "densityScope": "Model", "balance": "Tensor"},
    "ties, added up": {"method": "ties", "weights": (1.0, 0.7), "density": 0.6, "normalize": False},
    "ties of mergekit": {"method": "ties", "preset": "mergekit", "density": 0.3, "weights": (0.5, 0.8)},
    "dare linear": {"method": "dare_linear", "weights": (1.0, -0.5), "density": 0.4, "seed": 7},
    "dare linear by norm": {"method": "dare_linear", "density": 0.4, "rescale": "Norm", "balance": "Tensor"},
    "dare ties": {"method": "dare_ties", "weights": (1.0, 0.7), "density": 0.6},
    "dare ties of mergekit": {"method": "dare_ties", "preset": "mergekit", "density": 0.6},
    "della": {"method": "della", "density": 0.6, "epsilon": 0.3},
    "della of mergekit": {"method": "della", "preset": "mergekit", "density": 0.5, "seed": 3},
    "breadcrumbs": {"method": "breadcrumbs", "weights": (1.0, 0.7), "density": 0.4, "gamma": 0.1},
    "breadcrumbs over the model": {"method": "breadcrumbs", "density": 0.4, "gamma": 0.1, "densityScope": "Model"},
    "slerp": {"method": "slerp", "weights": (1.0, 2.0)},
    "slerp of whole weights": {"method": "slerp", "weights": (1.0, 2.0), "wholeWeights": True},
    "sce": {"method": "sce", "density": 0.4},
    "sce of mergekit": {"method": "sce", "preset": "mergekit", "density": 0.4},
    "model stock": {"method": "model_stock"},
    "sft only": {"method": "sft_only", "weights": (0.5, 1.0)},
    "preference only": {"method": "preference_only", "weights": (1.0, -1.0)},
    "weights by module": {
        "method": "task_arithmetic",
        "weights": [
            {"sft": 0.5},
            {"modules": "*.mlp.*", "sft": 2.0, "preference": 0.25},
            {"layers": {"first": 1}, "modules": "*.self_attn.*", "sft": -1.0},
        ],
    },
    "weights by gradient": {
        "method": "linear",
        "weights": [{"gradient": [{"sft": 1.0, "preference": 0.0}, {"sft": 0.25, "preference": 1.0}]}],
    },
}


def weights_in(recipe: str, name: str) -> tuple[float, float]:
    """What a recipe gives a tensor, by its words; the models have two layers."""
    if recipe == "weights by module":
        attention = (-1.0, 1.0) if "layers.1." in name else (0.5, 1.0)
        return (2.0, 0.25) if ".mlp." in name else attention
    if recipe == "weights by gradient":
        return (0.25, 1.0) if "layers.1." in name else (1.0, 0.0)
    weights: tuple[float, float] = RECIPES[recipe].get("weights", (1.0, 1.0))
    return weights


Spec = Callable[..., RunSpec]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base and two adapters of each architecture; the adapters differ in rank, scale and modules."""
    root = tmp_path_factory.mktemp("merge")
    for architecture, (dtype, tied, shard_size) in ARCHITECTURES.items():
        base = build_checkpoint(
            root / architecture / "base", architecture, dtype=dtype, tied=tied, max_shard_size=shard_size
        )
        build_adapter(
            root / architecture / "sft", base, r=3, alpha=5, seed=1, use_rslora=True, alpha_pattern={"q_proj": 2}
        )
        build_adapter(
            root / architecture / "preference", base, r=6, seed=2, target_modules=["q_proj", "v_proj", "down_proj"]
        )
    return root


@pytest.fixture
def spec(root: Path, tmp_path: Path) -> Spec:
    """RunSpecs that merge one architecture's adapters into tmp_path/out."""

    def make(architecture: str = "llama", **options: Any) -> RunSpec:
        folders = {name: folder_uri(root / architecture / name) for name in ("base", "sft", "preference")}
        places = {"output": folder_uri(tmp_path / "out"), "artifacts": folder_uri(tmp_path / "artifacts")}
        return merge_run_spec(**folders | places | options)

    return make


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_merge_is_the_papers_formula_rounded_once(
    root: Path, tmp_path: Path, spec: Spec, architecture: str, recipe: str
) -> None:
    run_spec = spec(architecture, options=document_of(recipe), max_shard_size="50KB")
    result = run_merge(run_spec)
    before, after = load_checkpoint(root / architecture / "base"), load_checkpoint(tmp_path / "out")
    sft, preference = (reference_deltas(root / architecture / arm) for arm in ("sft", "preference"))
    assert list(before.keys()) != []
    assert before.keys() == after.keys()
    assert (result.merged_tensors, result.copied_tensors) == (len(sft), len(before) - len(sft))
    assert run_spec.merge is not None
    references = reference_merge(
        run_spec.merge.spec,
        {name: (delta, preference.get(name)) for name, delta in sft.items()},
        weights=lambda name: weights_in(recipe, name),
        bases={name: tensor.double().numpy() for name, tensor in before.items()},
    )
    for name, tensor in before.items():
        if name in sft:
            assert_rounded_once(tensor, after[name], references[name])
        else:
            assert torch.equal(tensor.view(torch.uint8), after[name].view(torch.uint8))
    # Random adapters stand at right angles, of which Model Stock leaves next to nothing.
    assert recipe == "model stock" or any(is_well_above_rounding(before[name], references[name]) for name in sft)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_stock_readers_load_a_merge(root: Path, tmp_path: Path, spec: Spec, architecture: str) -> None:
    run_merge(spec(architecture, max_shard_size="50KB"))
    after = load_checkpoint(tmp_path / "out")
    model, loading = AutoModelForCausalLM.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not loading["missing_keys"]
    assert not loading["unexpected_keys"]
    loaded = model.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in after.items())


def document_of(recipe: str) -> dict[str, Any]:
    """The recipe as a part of spec.merge."""
    document = RECIPES[recipe]
    if not isinstance(document.get("weights"), tuple):
        return document
    sft, preference = document["weights"]
    return document | {"weights": [{"sft": sft, "preference": preference}]}


def half_units(base: torch.Tensor, reference: Reference) -> np.ndarray:
    """Half a unit in the last place of base + delta."""
    exact = base.double().numpy() + reference.delta
    digits = {torch.bfloat16: 8, torch.float32: 24}[base.dtype]
    return np.exp2(np.floor(np.log2(np.abs(exact) + 1e-300)) - digits)


def assert_rounded_once(base: torch.Tensor, merged: torch.Tensor, reference: Reference) -> None:
    """Within half a unit in the last place of base + delta, but for fp32's own error in the delta."""
    error = np.abs(merged.double().numpy() - base.double().numpy() - reference.delta)
    slack = 3e-7 * (np.abs(base.double().numpy()) + reference.scale.max())
    decided = reference.decided
    assert decided.mean() > 0.99
    assert (error[decided] <= (half_units(base, reference) + slack)[decided]).all()


def is_well_above_rounding(base: torch.Tensor, reference: Reference) -> bool:
    """Whether a wrong delta would be seen."""
    return bool(np.abs(reference.delta).max() > 10 * half_units(base, reference).max())


def test_density_0_gives_the_base_and_density_1_keeps_all(root: Path, tmp_path: Path, spec: Spec) -> None:
    run_merge(spec(density=0.0))
    before, after = load_checkpoint(root / "llama" / "base"), load_checkpoint(tmp_path / "out")
    assert all(torch.equal(before[name].view(torch.uint8), after[name].view(torch.uint8)) for name in before)
    run_merge(spec(density=1.0, weights=(1.0, 0.0), output=folder_uri(tmp_path / "all")))
    run_merge(spec(method="task_arithmetic", weights=(1.0, 0.0), output=folder_uri(tmp_path / "sum")))
    everything, summed = load_checkpoint(tmp_path / "all"), load_checkpoint(tmp_path / "sum")
    assert all(torch.equal(everything[name], summed[name]) for name in before)


def test_one_arm_is_what_peft_merges(root: Path, tmp_path: Path, spec: Spec) -> None:
    run_merge(spec("mistral", method="task_arithmetic", weights=(1.0, 0.0)))
    base = AutoModelForCausalLM.from_pretrained(root / "mistral" / "base")
    stock = PeftModel.from_pretrained(base, root / "mistral" / "sft").merge_and_unload().state_dict()
    for name, tensor in load_checkpoint(tmp_path / "out").items():
        torch.testing.assert_close(tensor, stock[name], rtol=1e-6, atol=1e-6)


def test_an_empty_adapter_changes_nothing(root: Path, tmp_path: Path, spec: Spec) -> None:
    build_adapter(tmp_path / "empty", root / "llama" / "base", zero=True)
    empty = folder_uri(tmp_path / "empty")
    run_merge(spec(preference=empty, density=1.0))
    run_merge(spec(method="task_arithmetic", weights=(1.0, 0.0), output=folder_uri(tmp_path / "alone")))
    run_merge(spec(sft=empty, preference=empty, output=folder_uri(tmp_path / "nothing")))
    merged, alone = load_checkpoint(tmp_path / "out"), load_checkpoint(tmp_path / "alone")
    nothing, before = load_checkpoint(tmp_path / "nothing"), load_checkpoint(root / "llama" / "base")
    assert all(torch.equal(merged[name], alone[name]) for name in before)
    assert all(torch.equal(nothing[name].view(torch.uint8), before[name].view(torch.uint8)) for name in before)


def test_what_no_arm_changes_costs_nothing(
    root: Path, tmp_path: Path, spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_adapter(tmp_path / "empty", root / "llama" / "base", zero=True)
    empty = folder_uri(tmp_path / "empty")
    counting = CountingArithmetic()
    monkeypatch.setattr(full, "available_arithmetic", lambda: counting)
    result = run_merge(spec(sft=empty, preference=empty))
    assert counting.entries == 0
    assert result.merged_tensors > 0
    assert result.warnings == ("both deltas are 0: the merge is the base",)


def test_a_base_in_one_file_and_one_in_shards_give_the_same_bytes(root: Path, tmp_path: Path, spec: Spec) -> None:
    dtype, tied, _ = ARCHITECTURES["qwen2"]
    whole = build_checkpoint(tmp_path / "whole", "qwen2", dtype=dtype, tied=tied)
    assert (whole / "model.safetensors").exists()
    assert len(list((root / "qwen2" / "base").glob("model-*.safetensors"))) > 1
    one = run_merge(spec("qwen2", max_shard_size="40KB"))
    other = run_merge(
        spec("qwen2", base=folder_uri(whole), max_shard_size="40KB", output=folder_uri(tmp_path / "other"))
    )
    assert one.recipe_digest == other.recipe_digest
    names = [path.name for path in (tmp_path / "out").glob("model*")]
    assert len(names) > 2
    for name in names:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


def test_the_output_is_whole_and_its_manifest_true(root: Path, tmp_path: Path, spec: Spec) -> None:
    (root / "llama" / "base" / "pytorch_model.bin").write_bytes(b"old weights")
    (root / "llama" / "base" / "LICENSE").write_text("as is")
    template = "{% for m in messages %}[{{ m['content'] }}]{% endfor %}"
    result = run_merge(spec(chat_template=template))
    content = folder_bytes(tmp_path / "out")
    manifest = json.loads(content.pop("merge_manifest.json"))
    claim = json.loads(content.pop("paft_claim.json"))
    files = {name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in content.items()}
    assert manifest["files"] == files
    assert {"model.safetensors", "config.json", "generation_config.json", "tokenizer.json", "LICENSE"} <= files.keys()
    assert "pytorch_model.bin" not in files
    digest = file_set_digest({name: entry["sha256"] for name, entry in files.items()})
    assert manifest["digest"] == result.artifact.digest == digest
    assert manifest["claimedDigest"] == claim["recipeDigest"]
    assert manifest["recipeDigest"] == result.recipe_digest
    base = folder_uri(root / "llama" / "base")
    assert claim["base"].keys() == {"uri", "listingDigest"}
    assert manifest["base"] == {"uri": base, "digest": index_base(FileStore(), base, None).digest}
    assert (
        manifest["merge"]
        == claim["merge"]
        == MergeOptions(method=MergeMethod.TIES).resolved()
        | {
            "form": "Full",
            "maxShardSize": "5GB",
        }
    )
    assert result.bytes == sum(entry["size"] for entry in files.values())
    assert result.peak_memory_bytes > 0
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False) == "[hi]"
    assert load_file(tmp_path / "out" / "model.safetensors").keys() == load_checkpoint(root / "llama" / "base").keys()


def test_the_job_s_chat_template_is_part_of_the_recipe(spec: Spec, tmp_path: Path) -> None:
    own = run_merge(spec(chat_template="{{ messages }}", output=folder_uri(tmp_path / "own")))
    assert run_merge(spec()).recipe_digest != own.recipe_digest


def test_the_card_tells_recipe_data_and_sparsity(root: Path, tmp_path: Path, spec: Spec) -> None:
    sparsity = dict.fromkeys(("aSmall", "aZeroBf16", "bSmall", "bZeroBf16", "deltaZero", "deltaZeroBf16"), 0.0) | {
        "aZero": 0.05,
        "bZero": 0.55,
        "deltaSmall": 0.375,
        "deltaNorm": 1.5,
    }
    adapter = build_adapter(tmp_path / "sft", root / "llama" / "base")
    digest = write_adapter_manifest(
        adapter,
        base_digest=run_merge(spec()).artifact.digest,
        spec={"data": {"train": [{"uri": "s3://data/chats.jsonl", "format": "messages"}]}},
        metrics={"steps": 24, "sparsity": sparsity},
    )
    base_digest = json.loads((tmp_path / "out" / "merge_manifest.json").read_bytes())["base"]["digest"]
    document = json.loads((adapter / "paft_manifest.json").read_bytes()) | {"baseDigest": base_digest}
    (adapter / "paft_manifest.json").write_text(json.dumps(document))
    run_merge(spec(sft=folder_uri(adapter), output=folder_uri(tmp_path / "card")))
    card = (tmp_path / "card" / "README.md").read_text()
    base = folder_uri(root / "llama" / "base")
    assert card.startswith(
        f"---\nbase_model: {base}\nbase_model_relation: merge\nlibrary_name: transformers\n"
        "pipeline_tag: text-generation\ntags:\n- merge\n- paft\n- ties\n---\n"
    )
    for line in (
        "- method: `ties`",
        "- weights: sft 1.0, preference 1.0",
        "- density: 0.5",
        f"- base: `{base}` (`{base_digest}`)",
        f"- adapter: `{folder_uri(adapter)}` (`{digest}`)",
        "- data: `s3://data/chats.jsonl` (messages)",
        "- optimizer steps: 24",
        "- sparsity: 37.5% of ΔW below 1e-5, exact zeros in A 5.0% and B 55.0%, norm of ΔW 1.5",
    ):
        assert f"{line}\n" in card

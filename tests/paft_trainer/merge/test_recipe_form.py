"""Merges of which only the recipe is written: it gives the same merge again, by PAFT and by mergekit."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from tests.merges import FailingStore, folder_uri, load_checkpoint, merge_run_spec, run_merge
from tests.tiny_models import build_adapter, build_checkpoint

from paft_api.run_spec import RunSpec
from paft_api.spec.merge import MergeMethod, MergeOptions
from paft_trainer.merge import stage
from paft_trainer.storage.file_store import FileStore
from paft_trainer.verification import verify

with warnings.catch_warnings():
    # mergekit 0.1.5 asks NumPy for modules that have new names.
    warnings.simplefilter("ignore")
    from mergekit.config import MergeConfiguration
    from mergekit.merge import run_merge as run_mergekit
    from mergekit.options import MergeOptions as MergekitOptions

Spec = Callable[..., RunSpec]

OPTIONS: dict[str, dict[str, Any]] = {
    "linear": {"weights": (0.3, 1.1)},
    "task_arithmetic": {"options": {"lambda": 0.5}},
    "ties": {"density": 0.3, "options": {"preset": "mergekit"}},
    "dare_linear": {"density": 0.9, "seed": 5},
    "dare_ties": {"density": 0.9, "options": {"normalize": True}},
    "della": {"density": 0.8, "options": {"epsilon": 0.1}},
    "breadcrumbs": {"density": 0.5, "options": {"gamma": 0.02}},
    "slerp": {"weights": (1.0, 2.0), "options": {"wholeWeights": True}},
    "sce": {"density": 0.5},
    "model_stock": {},
}
WITHOUT_CHANCE = [name for name in OPTIONS if not name.startswith(("dare", "della"))]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Arms that have something in common, so that Model Stock keeps something of them."""
    root = tmp_path_factory.mktemp("recipe-form")
    base = build_checkpoint(root / "base")
    build_adapter(root / "sft", base, r=8, seed=1, std=0.3)
    build_adapter(root / "preference", base, r=3, seed=1, std=0.3)
    return root


@pytest.fixture
def spec(root: Path, tmp_path: Path) -> Spec:
    def make(out: str = "out", form: str = "Recipe", **options: Any) -> RunSpec:
        folders = {name: folder_uri(root / name) for name in ("base", "sft", "preference")}
        places = {"output": folder_uri(tmp_path / out), "artifacts": folder_uri(tmp_path / "artifacts")}
        return merge_run_spec(**folders | places | {"form": form} | options)

    return make


def merged_deltas(root: Path, folder: Path) -> dict[str, np.ndarray]:
    before, after = load_checkpoint(root / "base"), load_checkpoint(folder)
    return {name: (after[name].double() - before[name].double()).numpy() for name in before}


@pytest.mark.parametrize("method", MergeMethod)
def test_the_recipe_holds_all_that_the_merge_depends_on(tmp_path: Path, spec: Spec, method: MergeMethod) -> None:
    given = OPTIONS.get(method, {})
    run_spec = spec(method=method, **given)
    result = run_merge(run_spec)
    assert run_spec.merge is not None
    document = yaml.safe_load((tmp_path / "out" / "merge_recipe.yaml").read_text())
    base, adapters = document.pop("base"), document.pop("adapters")
    assert MergeOptions.model_validate_json(json.dumps(document)).resolved() == run_spec.merge.spec.resolved()
    claim = json.loads((tmp_path / "out" / "paft_claim.json").read_text())
    assert base == claim["base"]
    assert adapters == {arm: {"uri": one["uri"], "digest": one["digest"]} for arm, one in claim["adapters"].items()}
    is_merge = method not in (MergeMethod.SFT_ONLY, MergeMethod.PREFERENCE_ONLY)
    names = {"merge_recipe.yaml", "merge_interference.json", "README.md"} | ({"mergekit.yaml"} if is_merge else set())
    manifest = json.loads((tmp_path / "out" / "merge_manifest.json").read_text())
    assert set(manifest["files"]) == names
    assert {path.name for path in (tmp_path / "out").iterdir()} == names | {"merge_manifest.json", "paft_claim.json"}
    assert manifest["recipeDigest"] == manifest["claimedDigest"] == claim["recipeDigest"] == result.recipe_digest
    (folder,) = verify(FileStore(), folder_uri(tmp_path / "out"), artifacts_uri=folder_uri(tmp_path / "a")).folders
    assert not folder.problems
    assert run_merge(run_spec).adopted


def test_its_figures_are_those_of_the_merge_but_for_rounding(tmp_path: Path, spec: Spec) -> None:
    options: dict[str, Any] = {"method": "ties", "density": 0.3, "options": {"densityScope": "Model"}}
    run_merge(spec(**options))
    run_merge(spec("full", "Full", **options))
    ours, full = (json.loads((tmp_path / one / "merge_interference.json").read_text()) for one in ("out", "full"))
    of_rounding = {"zeroAfterRounding": None, "lostToRounding": None}
    assert full["model"]["zeroAfterRounding"] is not None
    assert ours["model"] == pytest.approx(full["model"] | of_rounding, nan_ok=True)
    assert [one | of_rounding for one in full["tensors"]] == [pytest.approx(one) for one in ours["tensors"]]


def test_what_only_the_base_can_tell_is_left_out(tmp_path: Path, spec: Spec) -> None:
    result = run_merge(spec(method="slerp", options={"wholeWeights": True}))
    report = json.loads((tmp_path / "out" / "merge_interference.json").read_text())
    assert report["model"]["normMerged"] is report["model"]["zeroBeforeRounding"] is None
    assert report["model"]["cosine"] is not None
    assert [warning for warning in result.warnings if "this slerp equals linear" in warning]


def test_no_weight_of_the_base_is_read(root: Path, spec: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FailingStore(FileStore())
    monkeypatch.setattr(stage, "open_stage_store", lambda *arguments, **options: store)
    run_merge(spec(method="ties"))
    header = 8 + int.from_bytes((root / "base" / "model.safetensors").read_bytes()[:8], "little")
    ranges = [one for one in store.ranges if one[0] == folder_uri(root / "base") + "model.safetensors"]
    assert ranges
    assert all(start + size <= header for _, start, size in ranges)


@pytest.mark.parametrize("method", OPTIONS)
def test_mergekit_makes_the_same_merge_of_it(root: Path, tmp_path: Path, spec: Spec, method: str) -> None:
    """The base is fp32, so that nothing is lost to rounding; entries that are dropped at random are other ones."""
    run_merge(spec(method=method, **OPTIONS[method]))
    text = (tmp_path / "out" / "mergekit.yaml").read_text()
    configuration = MergeConfiguration.model_validate(yaml.safe_load(text))
    run_mergekit(
        configuration,
        str(tmp_path / "theirs"),
        MergekitOptions(lora_merge_cache=str(tmp_path / "cache"), random_seed=1, quiet=True),
    )
    options = OPTIONS[method] | {"options": {"preset": "mergekit"} | OPTIONS[method].get("options", {})}
    run_merge(spec("ours", "Full", method=method, **options))
    ours, theirs = merged_deltas(root, tmp_path / "ours"), merged_deltas(root, tmp_path / "theirs")
    one, other = (np.concatenate([deltas[name].ravel() for name in sorted(deltas)]) for deltas in (ours, theirs))
    cosine = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
    assert cosine > (0.9999 if method in WITHOUT_CHANCE else 0.75)
    assert np.linalg.norm(one) == pytest.approx(np.linalg.norm(other), rel=0.001 if method in WITHOUT_CHANCE else 0.05)


def test_what_mergekit_cannot_say_is_named_in_a_comment(tmp_path: Path, spec: Spec) -> None:
    weights = [
        {"sft": 1.0, "preference": 0.5},
        {"modules": "*.mlp.*", "gradient": [{"sft": 0.0, "preference": 1.0}, {"sft": 1.0, "preference": 1.0}]},
        {"modules": "*.q_?roj", "sft": 0.1},
        {"layers": {"last": 0}, "sft": 0.2},
    ]
    run_merge(spec(method="ties", options={"weights": weights, "balance": "Model", "election": "Unweighted"}))
    text = (tmp_path / "out" / "mergekit.yaml").read_text()
    document = yaml.safe_load(text)
    assert document["models"][0]["parameters"]["weight"] == [
        {"value": [0.0, 1.0], "filter": ".mlp."},
        {"value": 1.0},
    ]
    assert document["models"][1]["parameters"]["weight"][1] == {"value": 0.5}
    comments = [line for line in text.splitlines() if line.startswith("#")]
    for words in ("weights[2] is for", "weights[3] is for", "balance Model", "election Unweighted", "exact balance"):
        assert [comment for comment in comments if words in comment]

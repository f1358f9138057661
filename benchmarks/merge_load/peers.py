"""What a merge is compared with: a copy, mergekit, and PEFT, each as a command."""

import json
from dataclasses import dataclass
from pathlib import Path

from benchmarks.merge_load.measured_run import python_module

DENSITY = 0.5


@dataclass(frozen=True, kw_only=True)
class MergekitCache:
    """Where mergekit keeps base + adapter as whole models. Merges after the first one with a cache find them there."""

    folder: Path


def mergekit_command(models: Path, method: str, cache: MergekitCache, output: Path) -> list[str]:
    """`mergekit-yaml` as its README recommends on CPU, without the tokenizer, which costs ours next to nothing."""
    cache.folder.mkdir(parents=True, exist_ok=True)
    recipe = cache.folder / f"{method}.yaml"
    # JSON is YAML.
    recipe.write_text(json.dumps(mergekit_recipe(models, method), indent=1))
    return [
        *python_module("mergekit.scripts.run_yaml", str(recipe), str(output)),
        "--no-copy-tokenizer",
        "--lazy-unpickle",
        f"--lora-merge-cache={cache.folder}",
        f"--transformers-cache={cache.folder}",
    ]


def mergekit_recipe(models: Path, method: str) -> dict[str, object]:
    """Both adapters with weight 1, a density where the method has one."""
    parameters = {"weight": 1.0} | ({"density": DENSITY} if method == "ties" else {})
    base = models / "base"
    recipe = {
        "merge_method": method,
        "models": [{"model": f"{base}+{models / arm}", "parameters": parameters} for arm in ("sft", "preference")],
        "dtype": "bfloat16",
    }
    return recipe if method == "linear" else recipe | {"base_model": str(base)}


def peft_command(models: Path, combination_type: str, output: Path) -> list[str]:
    """`add_weighted_adapter` and `merge_and_unload`."""
    return python_module("benchmarks.merge_load.peft_merge", str(models), str(output), combination_type)


def copy_command(source: str, target: str, endpoint: str | None) -> list[str]:
    """The floor. `source` and `target`: URIs of folders; `endpoint`: of S3."""
    return python_module("benchmarks.merge_load.copying", source, target, *([] if endpoint is None else [endpoint]))

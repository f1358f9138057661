"""README.md of a merged checkpoint: the recipe for people, the front matter for model hubs."""

from collections.abc import Mapping
from typing import Any

import yaml

from paft_api.spec.merge import MergeMethod, MergeSpec
from paft_trainer.adapters import Adapter


def model_card(
    *, base_uri: str, base_digest: str, spec: MergeSpec, recipe_digest: str, adapters: Mapping[str, Adapter]
) -> str:
    """The card. It holds nothing that changes between two runs of one recipe."""
    front_matter = yaml.safe_dump(
        {
            "base_model": base_uri,
            "base_model_relation": "merge",
            "library_name": "transformers",
            "pipeline_tag": "text-generation",
            "tags": ["merge", "paft", spec.method.value],
        },
        sort_keys=False,
    )
    weights = spec.weights[0]
    recipe = [f"- method: `{spec.method}`", f"- weights: sft {weights.sft}, preference {weights.preference}"]
    if spec.method is MergeMethod.TIES:
        recipe.append(f"- density: {spec.resolved_density}")
    recipe += [f"- base: `{base_uri}` (`{base_digest}`)", f"- recipe digest: `{recipe_digest}`"]
    arms = "\n".join(_arm(name, adapter) for name, adapter in adapters.items())
    return (
        f"---\n{front_matter}---\n\n# Merged checkpoint\n\n"
        "Made by PAFT (arXiv 2406.17923): two LoRA adapters, trained in parallel from one base, merged exactly.\n\n"
        "## Recipe\n\n" + "\n".join(recipe) + f"\n\n## Adapters\n{arms}"
    )


def _arm(name: str, adapter: Adapter) -> str:
    lines = [f"\n### {name}\n", f"- adapter: `{adapter.uri}` (`{adapter.digest}`)"]
    if adapter.manifest is not None:
        lines += _training(adapter.manifest)
    return "\n".join(lines) + "\n"


def _training(manifest: Mapping[str, Any]) -> list[str]:
    spec, metrics = manifest["spec"], manifest["metrics"]
    data = ", ".join(f"`{source['uri']}` ({source['format']})" for source in spec["data"]["train"])
    lines = [f"- data: {data}", f"- optimizer steps: {metrics['steps']}"]
    if "sparsity" in metrics:
        sparsity = metrics["sparsity"]
        lines.append(
            f"- sparsity: {sparsity['deltaSmall']:.1%} of ΔW below 1e-5, exact zeros in A {sparsity['aZero']:.1%}"
            f" and B {sparsity['bZero']:.1%}, norm of ΔW {sparsity['deltaNorm']:.4g}"
        )
    return lines

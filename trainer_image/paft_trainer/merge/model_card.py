"""README.md of a merge: the recipe for people, the front matter for model hubs."""

from collections.abc import Mapping
from typing import Any

import yaml

_TITLES = {"Full": "Merged checkpoint", "Adapter": "Merged adapter", "Recipe": "Recipe of a merge"}
_MADE_BY = {
    "Full": "two LoRA adapters, trained in parallel from one base, merged exactly.",
    "Adapter": "a LoRA adapter made of two, which were trained in parallel from one base.",
    "Recipe": "how two LoRA adapters, trained in parallel from one base, are to be merged. Nothing was merged yet.",
}
_LIBRARIES = {"Full": "transformers", "Adapter": "peft"}


_SHOWN = {"method", "weights", "form", "maxShardSize"}
"""Options that have a place of their own, or none."""


def model_card(recipe: Mapping[str, Any]) -> str:
    """The card of a recipe (see paft_trainer.merge.recipe). It holds nothing that changes between two runs of it."""
    options = recipe["merge"]
    form = options["form"]
    library = {"library_name": _LIBRARIES[form]} if form in _LIBRARIES else {}
    front_matter = yaml.safe_dump(
        {
            "base_model": recipe["base"]["uri"],
            "base_model_relation": "adapter" if form == "Adapter" else "merge",
            **library,
            "pipeline_tag": "text-generation",
            "tags": ["merge", "paft", options["method"], *(["lora"] if form == "Adapter" else [])],
        },
        sort_keys=False,
    )
    arms = "\n".join(_arm(name, adapter) for name, adapter in sorted(recipe["adapters"].items(), reverse=True))
    return (
        f"---\n{front_matter}---\n\n# {_TITLES[form]}\n\nMade by PAFT (arXiv 2406.17923): {_MADE_BY[form]}\n\n"
        "## Recipe\n\n" + "\n".join(_recipe(recipe)) + f"\n\n## Adapters\n{arms}"
    )


def _recipe(recipe: Mapping[str, Any]) -> list[str]:
    options = recipe["merge"]
    lines = [f"- method: `{options['method']}`", *(f"- weights: {_weights(one)}" for one in options.get("weights", []))]
    shown = {"method", "weights", "form", "maxShardSize"}
    lines += [
        f"- {name}: {_value(value)}" for name, value in options.items() if name not in shown and value is not None
    ]
    base = recipe["base"]
    identity = f"`{base['digest']}`" if "digest" in base else f"files as listed: `{base['listingDigest']}`"
    return [*lines, f"- base: `{base['uri']}` ({identity})", f"- recipe digest: `{recipe['recipeDigest']}`"]


def _weights(entry: Mapping[str, Any]) -> str:
    anchors = entry.get("gradient", [entry])
    pairs = " to ".join(f"sft {one['sft']}, preference {one['preference']}" for one in anchors)
    place = [f"`{entry['modules']}`"] if "modules" in entry else []
    if "layers" in entry:
        place.append(f"layers {entry['layers']['first']} to {entry['layers'].get('last', 'the last')}")
    return pairs + (f" in {', '.join(place)}" if place else "")


def _value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _arm(name: str, adapter: Mapping[str, Any]) -> str:
    lines = [f"\n### {name}\n", f"- adapter: `{adapter['uri']}` (`{adapter['digest']}`)"]
    if "training" in adapter:
        lines += _training(adapter["training"])
    return "\n".join(lines) + "\n"


def _training(training: Mapping[str, Any]) -> list[str]:
    data = ", ".join(f"`{source['uri']}` ({source['format']})" for source in training["data"])
    lines = [f"- data: {data}", f"- optimizer steps: {training['steps']}"]
    if "sparsity" in training:
        sparsity = training["sparsity"]
        lines.append(
            f"- sparsity: {sparsity['deltaSmall']:.1%} of ΔW below 1e-5, exact zeros in A {sparsity['aZero']:.1%}"
            f" and B {sparsity['bZero']:.1%}, norm of ΔW {sparsity['deltaNorm']:.4g}"
        )
    return lines

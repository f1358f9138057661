"""The same merges, as ours are told and as mergekit is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SFT_WEIGHT, PREFERENCE_WEIGHT = 1.0, 0.7


@dataclass(frozen=True, kw_only=True)
class Case:
    """One merge. `ours`: of spec.merge, beside weights. `per_model` and `shared`: mergekit's parameters.

    `adapters`: their folders. `preset`: of spec.merge.
    """

    name: str
    method: str
    ours: Mapping[str, Any] = field(default_factory=dict)
    per_model: Mapping[str, Any] = field(default_factory=dict)
    shared: Mapping[str, Any] = field(default_factory=dict)
    weights: tuple[float, float] | None = (SFT_WEIGHT, PREFERENCE_WEIGHT)
    adapters: tuple[str, str] = ("sft", "preference")
    preset: str = "mergekit"

    def our_options(self) -> dict[str, Any]:
        """spec.merge without the output."""
        options = {"method": self.method, "preset": self.preset, **self.ours}
        if self.weights is not None:
            options["weights"] = [{"sft": self.weights[0], "preference": self.weights[1]}]
        return options

    def recipe(self, base: Path, sft: Path, preference: Path) -> dict[str, Any]:
        """mergekit's recipe, which knows an adapter as base+adapter."""
        models = [f"{base}+{sft}", f"{base}+{preference}"]
        recipe: dict[str, Any] = {"merge_method": self.method, "dtype": "float32", "parameters": dict(self.shared)}
        if self.method == "slerp":
            # Its base is the model at t = 0.
            return recipe | {"base_model": models[0], "models": [{"model": model} for model in models]}
        given = [dict(self.per_model) for _ in models]
        if self.weights is not None:
            for parameters, weight in zip(given, self.weights, strict=True):
                parameters["weight"] = weight
        recipe["models"] = [
            {"model": model, "parameters": parameters} for model, parameters in zip(models, given, strict=True)
        ]
        return recipe if self.method == "linear" else recipe | {"base_model": str(base)}


def _with_density(method: str, density: float, **others: Any) -> Case:
    name = "-".join([method, f"{density:g}", *(f"{key}-{value:g}" for key, value in others.items())])
    options = {"density": density, **others}
    return Case(name=name, method=method, ours=options, per_model=options)


EXACT = (
    Case(name="linear", method="linear"),
    Case(name="task_arithmetic", method="task_arithmetic"),
    Case(name="task_arithmetic-half", method="task_arithmetic", ours={"lambda": 0.5}, shared={"lambda": 0.5}),
    *(_with_density("ties", density) for density in (0.1, 0.5, 0.9, 1.0)),
    Case(
        name="ties-sum",
        method="ties",
        ours={"density": 0.5, "normalize": False},
        per_model={"density": 0.5},
        shared={"normalize": False},
    ),
    Case(
        name="ties-negative",
        method="ties",
        ours={"density": 0.5},
        per_model={"density": 0.5},
        weights=(1.0, -0.7),
    ),
    _with_density("breadcrumbs", 0.9, gamma=0.01),
    _with_density("breadcrumbs", 0.5, gamma=0.1),
    _with_density("breadcrumbs", 0.95, gamma=0.1),
    _with_density("breadcrumbs", 1.0, gamma=0.1),
    Case(
        name="slerp",
        method="slerp",
        shared={"t": PREFERENCE_WEIGHT / (SFT_WEIGHT + PREFERENCE_WEIGHT)},
    ),
    *(
        Case(
            name=f"sce-{density:g}",
            method="sce",
            ours={"density": density},
            shared={"select_topk": density},
            weights=None,
        )
        for density in (0.1, 0.5, 1.0)
    ),
    *(_with_density(method, 1.0) for method in ("dare_linear", "dare_ties", "della")),
    Case(
        name="dare_ties-mean",
        method="dare_ties",
        ours={"density": 1.0, "normalize": True},
        per_model={"density": 1.0},
        shared={"normalize": True},
    ),
)
"""Nothing is drawn at random: both must give the same."""

ONE_ARM = (1.0, 0.0)
RANDOM = tuple(
    Case(name=f"{method}-{density:g}-one", method=method, ours=options, per_model=options, weights=ONE_ARM)
    for method, density, options in (
        ("dare_linear", 0.3, {"density": 0.3}),
        ("dare_linear", 0.8, {"density": 0.8}),
        ("dare_ties", 0.5, {"density": 0.5}),
        ("della", 0.5, {"density": 0.5, "epsilon": 0.2}),
        ("della", 0.7, {"density": 0.7}),
    )
)
"""Of one arm, so that what is dropped can be seen."""

SMALL = Case(name="sce-small", method="sce", weights=None, adapters=("small-sft", "small-preference"))

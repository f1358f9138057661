"""Flags of `paft merge`: one for each option, and what they say by the names of fields in documents.

The words are the contract's, which is not imported for help.
"""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Method(StrEnum):
    """Merge methods."""

    LINEAR = "linear"
    TASK_ARITHMETIC = "task_arithmetic"
    TIES = "ties"
    DARE_LINEAR = "dare_linear"
    DARE_TIES = "dare_ties"
    DELLA = "della"
    BREADCRUMBS = "breadcrumbs"
    SLERP = "slerp"
    SCE = "sce"
    MODEL_STOCK = "model_stock"
    SFT_ONLY = "sft_only"
    PREFERENCE_ONLY = "preference_only"


class Preset(StrEnum):
    """Whose definitions."""

    PAFT = "paft"
    MERGEKIT = "mergekit"


class Scope(StrEnum):
    """densityScope."""

    TENSOR = "tensor"
    MODEL = "model"


class Rescale(StrEnum):
    """rescale."""

    DENSITY = "density"
    NORM = "norm"
    NONE = "none"


class Election(StrEnum):
    """election."""

    WEIGHTED = "weighted"
    UNWEIGHTED = "unweighted"


class Balance(StrEnum):
    """balance."""

    NONE = "none"
    TENSOR = "tensor"
    MODEL = "model"


class Form(StrEnum):
    """output.form."""

    FULL = "full"
    ADAPTER = "adapter"
    RECIPE = "recipe"


_Value = str | float | bool


def _choice(words: type[StrEnum], text: str) -> object:
    return typer.Option(metavar="|".join(words), help=text, show_default=False)


def _number(metavar: str, text: str, *names: str) -> object:
    return typer.Option(*names, metavar=metavar, help=text, show_default=False)


MethodOption = Annotated[Method | None, _choice(Method, "How the two ΔW of a module become one. Default: ties.")]
PresetOption = Annotated[
    Preset | None, _choice(Preset, "Whose definitions hold where tools differ, and whose defaults. Default: paft.")
]
WeightOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[PATTERN:]ARM=X",
        help="Factor of an arm everywhere, as in sft=0.7, or in the modules that a pattern fits, as in "
        "'*.mlp.*:sft=0.5'; of several patterns the last one that fits holds. Default: 1.0 each.",
        show_default=False,
    ),
]
DensityOption = Annotated[
    float | None,
    _number(
        "D", "ties, breadcrumbs, dare_linear, dare_ties, della, sce: share of ΔW that is kept, 0 to 1. Default: 0.5."
    ),
]
DensityScopeOption = Annotated[
    Scope | None, _choice(Scope, "ties, breadcrumbs: of each module's ΔW, or of all together. Default: tensor.")
]
SeedOption = Annotated[
    int | None, _number("N", "dare_linear, dare_ties, della: seed of what is dropped at random. Default: 0.")
]
RescaleOption = Annotated[
    Rescale | None,
    _choice(
        Rescale,
        "dare_linear, dare_ties, della: what is kept is divided by its probability, or brought to the norm before. "
        "Default: density.",
    ),
]
ElectionOption = Annotated[
    Election | None,
    _choice(Election, "ties, dare_ties, della: signs are elected with or without the weights. Default: weighted."),
]
NormalizeOption = Annotated[
    bool | None,
    typer.Option(
        "--normalize/--no-normalize",
        help="ties, dare_ties, della: the mean of the arms that agree, or their sum. Default: the mean.",
        show_default=False,
    ),
]
GammaOption = Annotated[
    float | None, _number("G", "breadcrumbs: share of the largest entries that is removed. Default: 0.01.")
]
EpsilonOption = Annotated[
    float | None,
    _number("E", "della: how far the probability to stay goes above and below the density. Default: 0.1."),
]
WholeWeightsOption = Annotated[
    bool | None,
    typer.Option(
        "--whole-weights/--no-whole-weights",
        help="slerp: the arc lies between base + ΔW, or between the ΔW. Default: between the ΔW.",
        show_default=False,
    ),
]
BalanceOption = Annotated[
    Balance | None,
    _choice(Balance, "Make both ΔW equally long, in each module or over all together. Default: none."),
]
LambdaOption = Annotated[float | None, _number("X", "Factor of the merged ΔW. Default: 1.0.", "--lambda")]
RecipeOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="YAML with fields of spec.merge other than output, or a file for mergekit, which also names base and "
        "adapters: of its two models, each written base+adapter, the first is sft.",
        show_default=False,
    ),
]
CandidatesOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="YAML list as in spec.merge.candidates: merges that are written beside, each into candidates/NAME/.",
        show_default=False,
    ),
]
FormOption = Annotated[
    Form | None, _choice(Form, "What is written: a checkpoint, a LoRA adapter, or only the recipe. Default: full.")
]
RankOption = Annotated[int | None, _number("R", "form adapter: its rank. Default: the sum of both adapters' ranks.")]
MaxShardSizeOption = Annotated[
    str | None,
    typer.Option(metavar="SIZE", help="Largest safetensors file, such as 500MB. Default: 5GB.", show_default=False),
]


def fields_of(flags: Mapping[str, _Value | None]) -> dict[str, _Value]:
    """What flags say, in the words of documents; without those that were not given. `flags`: by the field's name."""
    return {name: _in_documents(value) for name, value in flags.items() if value is not None}


def _in_documents(value: _Value) -> _Value:
    """Methods and presets are written alike; other words begin with a capital there."""
    if isinstance(value, Method | Preset):
        return value.value
    return value.value.capitalize() if isinstance(value, StrEnum) else value

"""spec.*.lora: the shape of an adapter, in PEFT's terms."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from paft_api.model import Model, refused

ModuleName = Annotated[str, StringConstraints(min_length=1, max_length=256)]
"""A module of the base by its name or the end of it, from a dot on."""

ModulePattern = Annotated[str, StringConstraints(min_length=1, max_length=200)]
"""A regular expression for the end of a module's name, from a dot on; at most three groups and three quantifiers."""

_CHANGES_THE_BASE = (
    "subtracts the adapter's start from the base's weights, but both arms and the merge share one base; use default"
)


class LoraSpec(Model):
    """LoRA (arXiv 2106.09685); ΔW = alpha/r · B·A, or alpha/√r · B·A with rsLoRA (arXiv 2312.03732)."""

    r: Annotated[int, Field(ge=1, le=1024)] = 16
    """Rank. Default: 16."""

    alpha: Annotated[float, Field(gt=0, le=65536)] = 32.0
    """Scale numerator. Default: 32.0."""

    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Probability with which an input of A is dropped while training. Default: 0.0."""

    target_modules: Annotated[tuple[ModuleName, ...], Field(min_length=1, max_length=64)] = ("all-linear",)
    """Names (suffixes) of the linear modules to adapt. Default: [all-linear], every one but the output head."""

    target_modules_pattern: Annotated[str, StringConstraints(min_length=1, max_length=1024)] | None = None
    """A regular expression in place of targetModules: adapts the modules whose whole names match, all of which have to
    be linear. Default: none."""

    exclude_modules: Annotated[tuple[ModuleName, ...], Field(max_length=64)] = ()
    """Names (suffixes) of modules that are not adapted, whatever names them as targets. Default: none."""

    layers_to_transform: Annotated[
        tuple[Annotated[int, Field(ge=0, le=65536)], ...],
        Field(max_length=1024),
    ] = ()
    """Numbers of the layers to adapt, from 0. Default: all."""

    layers_pattern: Annotated[tuple[ModuleName, ...], Field(max_length=16)] = ()
    """Names of the lists that layersToTransform counts in, such as `layers`, where a base has several. Default: any."""

    rank_pattern: Annotated[dict[ModulePattern, Annotated[int, Field(ge=1, le=1024)]], Field(max_length=64)] = {}
    """Other ranks than r, by regular expressions for ends of modules' names; the first that matches counts.
    Default: none."""

    alpha_pattern: Annotated[dict[ModulePattern, Annotated[float, Field(gt=0, le=65536)]], Field(max_length=64)] = {}
    """Other scale numerators than alpha, likewise. Default: none."""

    rslora: bool = False
    """Scale by alpha/√r instead of alpha/r. Default: false."""

    loraplus_lr_ratio: Annotated[float, Field(gt=0, le=1000)] | None = None
    """How many times the learning rate of A that of B is (LoRA+, arXiv 2402.12354). Default: 1."""

    modules_to_save: Annotated[tuple[ModuleName, ...], Field(max_length=64)] = ()
    """Names (suffixes) of modules that are trained whole, such as norms, an embedding or the output head. The merge
    takes each from the arm that trained it; so one arm alone may have a module, and the other may not adapt it. No
    penalty acts on them. Default: none."""

    init_lora_weights: Annotated[
        Literal["default", "gaussian", "orthogonal", "pissa", "olora", "corda", "loftq", "lora_ga", "eva"],
        refused(
            {
                **dict.fromkeys(("pissa", "olora", "corda", "loftq", "lora_ga"), _CHANGES_THE_BASE),
                "eva": "needs a pass over the rows before training, which no arm makes; use default",
            }
        ),
    ] = "default"
    """How the factors begin: default (A Kaiming-uniform, B zero), gaussian (A normal, B zero) or orthogonal (both from
    one orthogonal matrix, B·A zero; even ranks only). Those that change the base, and eva, are refused.
    Default: default."""

    use_dora: Annotated[
        bool,
        refused({True: "scales ΔW by norms of the merged weights, so that it is not scale·B·A; remove useDora"}),
    ] = False
    """Refused: the merge needs a ΔW that is scale·B·A. Default: false."""

    def resolved(self) -> dict[str, object]:
        """What acts: the mathematics of the adapter. Of fields beyond PEFT's basic ones, those that are off are left
        out."""
        exclude = {name for name in _OFF_BY_DEFAULT if getattr(self, name) == type(self).model_fields[name].default}
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude=exclude)


_OFF_BY_DEFAULT = (
    "target_modules_pattern",
    "exclude_modules",
    "layers_to_transform",
    "layers_pattern",
    "rank_pattern",
    "alpha_pattern",
    "loraplus_lr_ratio",
    "modules_to_save",
    "init_lora_weights",
    "use_dora",
)

"""Which modules of a base an adapter changes, by what the job says: PEFT's rules, with every reason to refuse first.

The same for a model without memory, on which prepare checks, and for the one that is trained.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from peft import LoraConfig

from paft_api.adapter_modules import (
    ALL_LINEAR,
    adapted_modules,
    at_the_end,
    is_excluded,
    is_named,
    layer_of,
    saved_modules,
)
from paft_api.spec.lora import LoraSpec
from paft_trainer.adapter_configuration import pattern_problem
from paft_trainer.errors import ConfigInvalid
from paft_trainer.training.base_model import lora_configuration


@dataclass(frozen=True, kw_only=True, slots=True)
class BaseModules:
    """Full names of a base's modules.

    `linear`: those that can be adapted, the output head left out. `whole`: those with weights and no modules inside,
    which can be trained whole, the head and the embeddings among them. `ends`: the head and the input embedding.
    `tied`: whether these two share one weight.
    """

    linear: tuple[str, ...]
    whole: tuple[str, ...]
    ends: tuple[str, ...]
    tied: bool


def base_modules(model: Any) -> BaseModules:
    """Of a model as transformers builds it, without an adapter."""
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    named = dict(model.named_modules())
    return BaseModules(
        linear=tuple(
            name for name, module in named.items() if isinstance(module, torch.nn.Linear) and module is not head
        ),
        whole=tuple(
            name
            for name, module in named.items()
            if next(module.children(), None) is None and next(module.parameters(), None) is not None
        ),
        ends=tuple(name for name, module in named.items() if module is head or module is embedding),
        tied=bool(model.config.get_text_config().tie_word_embeddings),
    )


def adapter_configuration(model: Any, lora: LoraSpec) -> LoraConfig:
    """PEFT's configuration of the adapter of a base. Raises ConfigInvalid."""
    modules = base_modules(model)
    for check in ADAPTER_CHECKS.values():
        check(modules, lora)
    saved = saved_modules(modules.whole, lora)
    options: dict[str, Any] = {}
    if lora.target_modules_pattern is not None:
        options["target_modules"] = lora.target_modules_pattern
    if lora.exclude_modules:
        options["exclude_modules"] = list(lora.exclude_modules)
    if lora.layers_to_transform:
        options |= {
            "layers_to_transform": list(lora.layers_to_transform),
            "layers_pattern": list(lora.layers_pattern) or None,
        }
        if lora.target_modules == (ALL_LINEAR,):
            # PEFT chooses layers among names only, of which its own word is none.
            options["target_modules"] = sorted({_end(name) for name in modules.linear})
    if saved:
        # By whole names: PEFT would take `norm` for every module whose name ends so, `input_layernorm` included.
        options["modules_to_save"] = list(saved)
    return lora_configuration(lora, **options)


def _end(name: str) -> str:
    return name.rpartition(".")[2]


def _remedy(wanted: str, names: Sequence[str]) -> str:
    available = sorted({_end(name) for name in names})
    close = difflib.get_close_matches(wanted, available, n=1)
    hint = f"Did you mean {close[0]}? " if close else ""
    return f"{hint}The base has {', '.join(available)}."


def _check_targets(modules: BaseModules, lora: LoraSpec) -> None:
    if ALL_LINEAR in lora.target_modules:
        if len(lora.target_modules) > 1:
            raise ConfigInvalid(
                f"targetModules {list(lora.target_modules)} names modules beside all-linear",
                remedy="Write either [all-linear] or names.",
            )
        return
    for target in lora.target_modules:
        if not any(is_named(name, (target,)) for name in modules.linear):
            raise ConfigInvalid(
                f"targetModules {target!r} is no linear module of the base", remedy=_remedy(target, modules.linear)
            )


def _check_target_pattern(modules: BaseModules, lora: LoraSpec) -> None:
    pattern = lora.target_modules_pattern
    if pattern is None:
        return
    if lora.target_modules != (ALL_LINEAR,):
        raise ConfigInvalid(
            f"targetModulesPattern and targetModules {list(lora.target_modules)} both name targets",
            remedy="Remove one of them.",
        )
    try:
        matching = [name for name in (*modules.linear, *modules.whole) if re.fullmatch(pattern, name)]
    except re.error as error:
        raise ConfigInvalid(
            f"targetModulesPattern {pattern!r} is no regular expression: {error}", remedy="Correct it."
        ) from error
    other = next((name for name in matching if name not in modules.linear and not is_excluded(name, lora)), None)
    if other is not None:
        raise ConfigInvalid(
            f"targetModulesPattern {pattern!r} matches {other}, which is no linear module besides the head",
            remedy="Narrow the pattern, or add the module to excludeModules.",
        )
    if not matching:
        raise ConfigInvalid(
            f"targetModulesPattern {pattern!r} matches no module of the base",
            remedy=f"It has to match whole names, such as {modules.linear[0]}.",
        )


def _check_saved(modules: BaseModules, lora: LoraSpec) -> None:
    for wanted in lora.modules_to_save:
        if not any(is_named(name, (wanted,)) for name in modules.whole):
            raise ConfigInvalid(
                f"modulesToSave {wanted!r} is no module of the base with weights of its own",
                remedy=_remedy(wanted, modules.whole),
            )
    chosen = saved_modules(modules.whole, lora)
    tied = next((name for name in chosen if modules.tied and name in modules.ends), None)
    if tied is not None:
        raise ConfigInvalid(
            f"modulesToSave: the base ties its head to its embedding, and with {tied} trained alone they would no "
            "longer be one",
            remedy="Take it out, or use a base whose head is not tied.",
        )
    named = () if lora.target_modules == (ALL_LINEAR,) else lora.target_modules
    both = next((name for name in chosen if is_named(name, named)), None)
    if both is not None:
        raise ConfigInvalid(
            f"modulesToSave and targetModules both name {both}, which is trained whole or by factors, not both",
            remedy="Take it out of one of them.",
        )


def _check_layers(modules: BaseModules, lora: LoraSpec) -> None:
    if lora.layers_pattern and not lora.layers_to_transform:
        raise ConfigInvalid(
            f"layersPattern {list(lora.layers_pattern)} chooses nothing without layersToTransform",
            remedy="Add layersToTransform, or remove layersPattern.",
        )
    if lora.layers_to_transform and lora.target_modules_pattern is not None:
        raise ConfigInvalid(
            "layersToTransform chooses among targetModules, not among what targetModulesPattern matches",
            remedy="Name the layers in the pattern, or the modules in targetModules.",
        )
    chosen = adapted_modules(modules.linear, lora)
    present = {layer_of(name, lora.layers_pattern) for name in chosen}
    missing = next((layer for layer in lora.layers_to_transform if layer not in present), None)
    if missing is not None:
        raise ConfigInvalid(
            f"layersToTransform {missing}: no target lies in a layer of that number",
            remedy="Layers are counted from 0.",
        )
    if not chosen:
        raise ConfigInvalid(
            "excludeModules and modulesToSave leave none of the targets", remedy="Take some modules out of them."
        )


def _check_ranks(modules: BaseModules, lora: LoraSpec) -> None:
    _check_keys(modules, lora, "rankPattern", lora.rank_pattern)


def _check_alphas(modules: BaseModules, lora: LoraSpec) -> None:
    _check_keys(modules, lora, "alphaPattern", lora.alpha_pattern)


def _check_keys(modules: BaseModules, lora: LoraSpec, field: str, patterns: Iterable[str]) -> None:
    """Of rankPattern and alphaPattern: those that the merge will read, and that mean a module."""
    chosen = adapted_modules(modules.linear, lora)
    for key in patterns:
        problem = pattern_problem(key)
        if problem is not None:
            raise ConfigInvalid(f"{field} has the key {key!r}, {problem}", remedy="Write it more simply.")
        if not any(re.match(at_the_end(key), name) for name in chosen):
            raise ConfigInvalid(
                f"{field} {key!r} matches the name of no module that is adapted",
                remedy=f"It has to match the end of a name, from a dot on, such as {_end(chosen[0])}.",
            )


def _check_initialisation(modules: BaseModules, lora: LoraSpec) -> None:
    odd = next((rank for rank in (lora.r, *lora.rank_pattern.values()) if rank % 2), None)
    if lora.init_lora_weights == "orthogonal" and odd is not None:
        raise ConfigInvalid(
            f"initLoraWeights orthogonal needs even ranks, and one is {odd}", remedy="Use an even rank, or default."
        )


ADAPTER_CHECKS: Mapping[str, Callable[[BaseModules, LoraSpec], None]] = {
    "targetModules": _check_targets,
    "targetModulesPattern": _check_target_pattern,
    "modulesToSave": _check_saved,
    "layersToTransform": _check_layers,
    "rankPattern": _check_ranks,
    "alphaPattern": _check_alphas,
    "initLoraWeights": _check_initialisation,
}
"""By field of the spec: what raises ConfigInvalid where base and spec do not suit each other. Each relies on those
before it."""

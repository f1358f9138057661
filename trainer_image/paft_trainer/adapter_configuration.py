"""PEFT's adapter_config.json: the scale of each module's ΔW, and the variants of LoRA whose ΔW is not scale·B·A."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from paft_api.adapter_modules import at_the_end, by_pattern
from paft_trainer.errors import ConfigInvalid
from paft_trainer.foreign_documents import BrokenDocument, parse_object, quoted, shown

CONFIGURATION_FILE = "adapter_config.json"

_READ = frozenset(
    {
        "peft_type",
        "r",
        "lora_alpha",
        "use_rslora",
        "rank_pattern",
        "alpha_pattern",
        "bias",
        "init_lora_weights",
        "modules_to_save",
        "ensure_weight_tying",
    }
)
"""Options that are taken up here, or refused by their values."""

_VARIANTS = {
    "use_dora": "DoRA scales ΔW by norms of the merged weights",
    "fan_in_fan_out": "its base stores weights transposed",
    "trainable_token_indices": "it carries rows of the embedding",
    "layer_replication": "it repeats layers of the base",
    "lora_bias": "it carries biases",
    "target_parameters": "it adapts parameters that are no linear modules",
    "alora_invocation_tokens": "it acts on some tokens only",
    "use_qalora": "it groups the inputs of A",
    "use_bdlora": "its factors are block-diagonal",
    "arrow_config": "it routes between experts",
    "kasa_config": "it changes the base it belongs to",
    "monteclora_config": "its factors are distributions",
    "megatron_config": "its modules are Megatron's, which may hold a part of a weight only",
}
"""Options with which ΔW is not scale·B·A, unless they are off: null, false or an empty list."""

_HARMLESS = frozenset(
    {
        "task_type",
        "auto_mapping",
        "peft_version",
        "base_model_name_or_path",
        "revision",
        "inference_mode",
        "target_modules",
        "exclude_modules",
        "lora_dropout",
        "layers_to_transform",
        "layers_pattern",
        "megatron_core",
        "loftq_config",
        "eva_config",
        "corda_config",
        "lora_ga_config",
        "velora_config",
        "qalora_group_size",
    }
)
"""Options that leave ΔW at scale·B·A, whatever their values: which modules have factors is told by the factors, and
how those began or were trained does not matter to what they are. VeLoRA changes the backward pass alone."""

KNOWN_OPTIONS = _READ | _VARIANTS.keys() | _HARMLESS
"""All options of PEFT 0.21 that it saves. Others are refused unless they are off."""

_LARGEST_FP32 = 3.4028234663852886e38

_CHANGES_THE_BASE = ("pissa", "olora", "loftq", "corda", "lora_ga")
"""Initialisations that subtract the adapter's start from the base's weights."""

_LEAVES_THE_BASE = frozenset({"gaussian", "eva", "orthogonal", "mica"})
"""Initialisations that set the factors alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AdapterConfiguration:
    """What the factors' shapes do not tell. Patterns map regular expressions for ends of module names to values.

    `saves_modules`: whether whole modules are to be in the file. `ties_weights`: whether a head and the embedding among
    them are one.
    """

    r: int
    alpha: float
    rslora: bool
    rank_pattern: Mapping[str, int]
    alpha_pattern: Mapping[str, float]
    saves_modules: bool
    ties_weights: bool

    def rank(self, module: str) -> int:
        """r of a module."""
        return by_pattern(self.rank_pattern, module, self.r)

    def scale(self, module: str) -> float:
        """alpha/r, with rsLoRA alpha/√r (arXiv 2312.03732)."""
        rank = self.rank(module)
        return by_pattern(self.alpha_pattern, module, self.alpha) / (math.sqrt(rank) if self.rslora else rank)


def parse_configuration(folder: str, content: bytes) -> AdapterConfiguration:
    """Read the file of the adapter in `folder`. Raises ConfigInvalid where it is broken or no plain LoRA."""
    try:
        document = parse_object(content)
    except BrokenDocument as error:
        raise _broken(folder, f"it is {error}") from error
    _refuse_variants(folder, document)
    rank_pattern = _patterns(folder, document, "rank_pattern")
    for value in (document.get("r"), *rank_pattern.values()):
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise _broken(folder, f"r is {shown(value)}; a rank is a whole number from 1")
    alpha_pattern = _patterns(folder, document, "alpha_pattern")
    for value in (document.get("lora_alpha"), *alpha_pattern.values()):
        if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) <= _LARGEST_FP32:
            raise _broken(folder, f"lora_alpha is {shown(value)}, no finite number")
    return AdapterConfiguration(
        r=document["r"],
        alpha=document["lora_alpha"],
        rslora=bool(document.get("use_rslora")),
        rank_pattern=rank_pattern,
        alpha_pattern=alpha_pattern,
        saves_modules=bool(document.get("modules_to_save")),
        ties_weights=bool(document.get("ensure_weight_tying")),
    )


def _refuse_variants(folder: str, document: dict[str, Any]) -> None:
    if document.get("peft_type") != "LORA":
        raise ConfigInvalid(
            f"{folder} is a {document.get('peft_type')} adapter", remedy="Only LoRA adapters can be merged."
        )
    for option, value in document.items():
        is_off = value is None or value is False or value == []
        if (option in _VARIANTS and not is_off) or (option not in KNOWN_OPTIONS and value):
            reason = _VARIANTS.get(option, "an option unknown to this version")
            raise ConfigInvalid(
                f"{folder} uses {option}: {reason}, so its ΔW is not scale·B·A",
                remedy=f"Train the adapter without {option}.",
            )
    if document.get("bias", "none") != "none":
        raise ConfigInvalid(
            f"{folder} trained biases (bias: {document['bias']})", remedy="Train the adapter with bias: none."
        )
    _refuse_initialisations(folder, document.get("init_lora_weights"))


def _refuse_initialisations(folder: str, initialisation: Any) -> None:
    if initialisation is None or isinstance(initialisation, bool):
        return
    name = str(initialisation).lower()
    if name.startswith(_CHANGES_THE_BASE):
        raise ConfigInvalid(
            f"{folder} was initialised with {initialisation}, which changes the base it belongs to",
            remedy="Convert it to a plain LoRA first (PEFT's path_initial_model_for_weight_conversion).",
        )
    if name not in _LEAVES_THE_BASE:
        raise ConfigInvalid(
            f"{folder} was initialised with {shown(initialisation)}, which is unknown to this version and may change "
            "the base it belongs to",
            remedy="Train the adapter with init_lora_weights: true.",
        )


def _patterns(folder: str, document: dict[str, Any], name: str) -> dict[str, Any]:
    patterns = document.get(name) or {}
    if not isinstance(patterns, dict):
        raise _broken(folder, f"{name} is no object")
    for key in patterns:
        problem = pattern_problem(key)
        if problem is not None:
            raise _broken(folder, f"{name} has the key {quoted(key)}, {problem}")
    return patterns


def pattern_problem(key: str) -> str | None:
    """Why a key of rank_pattern or alpha_pattern is not taken, in words; None where it is."""
    try:
        re.compile(key)
        # A key with flags is an expression on its own, but not within another one.
        re.compile(at_the_end(key))
    except (re.error, OverflowError, RecursionError) as error:
        return f"no regular expression: {error}"
    return None if _matches_in_time(key) else "which may take for ever to match"


def _matches_in_time(key: str) -> bool:
    """Whether trying all ways to match takes a time that grows slowly with the length of a module's name.

    Repeated groups, and many groups or quantifiers in a row, have exponentially many ways.
    """
    quantifiers = len(re.findall(r"[*+{]|(?<!\()\?", key))
    return len(key) <= 200 and quantifiers <= 3 and key.count("(") <= 3 and re.search(r"\)[*+{]", key) is None


def _broken(folder: str, reason: str) -> ConfigInvalid:
    return ConfigInvalid(
        f"{folder}{CONFIGURATION_FILE} is no configuration of PEFT: {reason}",
        remedy="Save the adapter again with save_pretrained.",
    )

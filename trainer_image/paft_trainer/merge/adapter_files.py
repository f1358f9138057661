"""Names and configuration of an adapter as stock PEFT reads it."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from paft_trainer.storage.file_store import path_of

_PREFIX = "base_model.model."


def factor_names(weight: str) -> tuple[str, str]:
    """Names of lora_A and lora_B of a weight of the base."""
    module = weight.removesuffix(".weight")
    return f"{_PREFIX}{module}.lora_A.weight", f"{_PREFIX}{module}.lora_B.weight"


def encode_configuration(
    *,
    base_uri: str,
    ranks: Mapping[str, int],
    weights_of_base: Sequence[str],
    saved: Iterable[str],
    ties_weights: bool,
) -> bytes:
    """adapter_config.json for these modules and their ranks; alpha is the rank everywhere, so that the scale is 1.

    `weights_of_base`: names of its tensors, among which targets are chosen so that they fit these modules alone.
    `saved`: names of whole tensors in the adapter.
    """
    ((common, _),) = Counter(ranks.values()).most_common(1)
    # PEFT matches keys as regular expressions against ends of names: with ^ they fit one module alone.
    pattern = {f"^{re.escape(module)}": rank for module, rank in sorted(ranks.items()) if rank != common}
    modules_to_save = sorted({name.rpartition(".")[0] for name in saved})
    document: dict[str, Any] = {
        "alpha_pattern": pattern,
        "auto_mapping": None,
        # What PEFT's Auto classes open; they know no URIs.
        "base_model_name_or_path": str(path_of(base_uri)) if base_uri.startswith("file://") else base_uri,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "lora_alpha": common,
        "lora_dropout": 0.0,
        "modules_to_save": modules_to_save or None,
        "peft_type": "LORA",
        "r": common,
        "rank_pattern": pattern,
        "revision": None,
        "target_modules": _targets(set(ranks), weights_of_base),
        "task_type": "CAUSAL_LM",
        "use_dora": False,
        "use_rslora": False,
    }
    if ties_weights:
        document["ensure_weight_tying"] = True
    return json.dumps(document, indent=2, sort_keys=True).encode()


def _targets(modules: set[str], weights_of_base: Sequence[str]) -> list[str]:
    """Last parts of names where all of the base's modules of that name are meant, whole names elsewhere."""
    known = modules | {name.removesuffix(".weight") for name in weights_of_base if name.endswith(".weight")}
    partly = {name.rpartition(".")[2] for name in known - modules}
    ends = {name: name.rpartition(".")[2] for name in modules}
    return sorted({name if end in partly else end for name, end in ends.items()})

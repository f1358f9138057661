"""The base as far as checks need it: its tokenizer, and the names of its modules without their weights."""

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

from paft_api.spec.base import BaseSpec
from paft_api.spec.lora import LoraSpec
from paft_trainer.base_index import BaseIndex
from paft_trainer.errors import ConfigInvalid
from paft_trainer.storage import ObjectStore


@dataclass(frozen=True, kw_only=True, slots=True)
class BaseForChecks:
    """`linear_modules`: full names of the linear modules, the output head left out."""

    tokenizer: PreTrainedTokenizerBase
    linear_modules: tuple[str, ...]


def open_base_for_checks(store: ObjectStore, base: BaseSpec, index: BaseIndex, folder: Path) -> BaseForChecks:
    """Fetch configuration and tokenizer and build the model without memory. Raises ConfigInvalid."""
    for file in index.files:
        if not file.name.endswith((".safetensors", ".safetensors.index.json")):
            (folder / file.name).write_bytes(store.read(base.uri + file.name))
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        configuration = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(configuration, trust_remote_code=False)
    except (ValueError, KeyError, OSError, ImportError) as error:
        raise ConfigInvalid(
            f"{base.uri}: transformers cannot build this model: {error}",
            remedy="Use a causal language model that this version of transformers knows; remote code is never run.",
        ) from error
    if base.chat_template is not None:
        tokenizer.chat_template = base.chat_template
    head = model.get_output_embeddings()
    linear = tuple(
        name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear) and module is not head
    )
    return BaseForChecks(tokenizer=tokenizer, linear_modules=linear)


def check_lora_targets(base: BaseForChecks, lora: LoraSpec) -> None:
    """Each target must name a linear module. Raises ConfigInvalid with the names there are."""
    if "all-linear" in lora.target_modules:
        if len(lora.target_modules) > 1:
            raise ConfigInvalid(
                f"targetModules {list(lora.target_modules)} names modules beside all-linear",
                remedy="Write either [all-linear] or names.",
            )
        return
    available = sorted({name.rpartition(".")[2] for name in base.linear_modules})
    for target in lora.target_modules:
        if not any(name == target or name.endswith(f".{target}") for name in base.linear_modules):
            close = difflib.get_close_matches(target, available, n=1)
            hint = f"Did you mean {close[0]}? " if close else ""
            raise ConfigInvalid(
                f"targetModules {target!r} is no linear module of the base",
                remedy=f"{hint}The base has {', '.join(available)}.",
            )

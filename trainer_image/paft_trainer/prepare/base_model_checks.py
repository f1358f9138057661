"""The base as far as checks need it: its tokenizer, and the names of its modules without their weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

from paft_api.spec.base import BaseSpec
from paft_trainer.checkpoint_files import CheckpointFiles
from paft_trainer.errors import ConfigInvalid
from paft_trainer.storage import ObjectStore
from paft_trainer.training.adapter_targets import BaseModules, base_modules


@dataclass(frozen=True, kw_only=True, slots=True)
class BaseForChecks:
    """What arms are checked against."""

    tokenizer: PreTrainedTokenizerBase
    modules: BaseModules


def open_base_for_checks(store: ObjectStore, base: BaseSpec, files: CheckpointFiles, folder: Path) -> BaseForChecks:
    """Fetch configuration and tokenizer and build the model without memory. Raises ConfigInvalid."""
    for name in files.others:
        (folder / name).write_bytes(store.read(base.uri + name))
    modules = _modules(base, folder)
    tokenizer = open_tokenizer(base, folder)
    return BaseForChecks(tokenizer=tokenizer, modules=modules)


def open_tokenizer(base: BaseSpec, folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a base whose small files are in `folder`, with the job's chat template. Raises ConfigInvalid."""
    with _explained(f"{base.uri}: transformers cannot open this tokenizer", folder, "Save the tokenizer again."):
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if not tokenizer.is_fast:
        raise ConfigInvalid(
            f"{base.uri}: its tokenizer ({type(tokenizer).__name__}) does not tell where in the text its tokens lie",
            remedy="Use a base whose tokenizer comes as tokenizer.json.",
        )
    if base.chat_template is not None:
        tokenizer.chat_template = base.chat_template
    return tokenizer


def _modules(base: BaseSpec, folder: Path) -> BaseModules:
    remedy = "Use a causal language model that this version of transformers knows; remote code is never run."
    with _explained(f"{base.uri}: transformers cannot build this model", folder, remedy):
        configuration = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(configuration, trust_remote_code=False)
    modules = base_modules(model)
    if not modules.linear:
        raise ConfigInvalid(
            f"{base.uri}: {type(model).__name__} has no linear modules besides its output head, so nothing can be "
            "adapted",
            remedy="Use a base of another architecture.",
        )
    return modules


@contextmanager
def _explained(what: str, folder: Path, remedy: str) -> Iterator[None]:
    """Files of a base are foreign input, on which transformers fails in many ways."""
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError, OSError, ImportError, StrictDataclassError) as error:
        reason = " ".join(str(error).replace(f"{folder}", "the folder").split())
        raise ConfigInvalid(f"{what}: {type(error).__name__}: {reason[:300]}", remedy=remedy) from error

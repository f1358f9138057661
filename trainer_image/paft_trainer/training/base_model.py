"""The base model and its tokenizer."""

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from paft_api.spec.lora import LoraSpec
from paft_trainer.base.local_base import read_local_base
from paft_trainer.base.open_pieces import open_pieces
from paft_trainer.base.whole_copy import whole_copy
from paft_trainer.training.arm_session import ArmSession
from paft_trainer.training.base_loading.load import load_model
from paft_trainer.training.deepspeed_configuration import precision_of

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


def load_tokenizer(folder: Path, chat_template: str | None) -> PreTrainedTokenizerBase:
    """The base's tokenizer, with the job's chat template where it names one."""
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if chat_template is not None:
        tokenizer.chat_template = chat_template
    return tokenizer


def load_base_model(session: ArmSession, folder: Path) -> Any:
    """The base model. Under DeepSpeed it comes partitioned, because TRL's arguments exist before it does. Collective.

    `folder`: what the launcher handed on. Raises StageError.
    """
    run_spec = session.run_spec
    base = read_local_base(run_spec.storage.artifacts_uri, folder)
    pieces = open_pieces(session.store, run_spec, base.pieces)
    return load_model(
        base.folder,
        pieces,
        base_uri=run_spec.base.uri,
        dtype=_DTYPES[precision_of(session.arm.training, session.world)],
        device=torch.device(session.world.device),
        whole_copy=lambda: whole_copy(
            session.store, run_spec.base.uri, base.index, pieces, Path(run_spec.cache_directory)
        ),
    )


def lora_configuration(lora: LoraSpec, **options: Any) -> LoraConfig:
    """PEFT's configuration of the adapter. `options`: what depends on the base's modules too."""
    modules = list(lora.target_modules)
    return LoraConfig(
        **{
            "r": lora.r,
            "lora_alpha": lora.alpha,
            "lora_dropout": lora.dropout,
            "target_modules": "all-linear" if modules == ["all-linear"] else modules,
            "rank_pattern": dict(lora.rank_pattern),
            "alpha_pattern": dict(lora.alpha_pattern),
            "use_rslora": lora.rslora,
            "init_lora_weights": True if lora.init_lora_weights == "default" else lora.init_lora_weights,
            "task_type": "CAUSAL_LM",
        }
        | options
    )

"""The base model and its tokenizer, from a verified local folder."""

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

from paft_api.spec.lora import LoraSpec
from paft_trainer.training.arm_session import ArmSession
from paft_trainer.training.deepspeed_configuration import computes_in_bf16


def load_tokenizer(folder: Path, chat_template: str | None) -> PreTrainedTokenizerBase:
    """The base's tokenizer, with the job's chat template where it names one."""
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if chat_template is not None:
        tokenizer.chat_template = chat_template
    return tokenizer


def load_base_model(session: ArmSession, folder: Path) -> Any:
    """The base model. Under DeepSpeed it comes partitioned, because TRL's arguments exist before it does."""
    dtype = torch.bfloat16 if computes_in_bf16(session.arm.training, session.world) else torch.float32
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, local_files_only=True, trust_remote_code=False)


def lora_configuration(lora: LoraSpec) -> LoraConfig:
    """PEFT's configuration of the adapter."""
    modules = list(lora.target_modules)
    return LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules="all-linear" if modules == ["all-linear"] else modules,
        use_rslora=lora.rslora,
        task_type="CAUSAL_LM",
    )

"""Tiny random checkpoints and adapters of real architectures, for tests."""

from pathlib import Path
from typing import Any, Literal

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

Architecture = Literal["llama", "mistral", "qwen2"]

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

_CLASSES = {
    "llama": (LlamaConfig, LlamaForCausalLM),
    "mistral": (MistralConfig, MistralForCausalLM),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM),
}


def byte_tokenizer(*, chat_template: str | None = CHATML) -> PreTrainedTokenizerFast:
    """One token per byte, and the special tokens of ChatML."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<|im_start|>", "<|im_end|>", "<pad>"]
    tokenizer = Tokenizer(models.BPE(vocab={token: index for index, token in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<pad>",
        chat_template=chat_template,
    )


def build_checkpoint(
    folder: Path,
    architecture: Architecture = "llama",
    *,
    dtype: torch.dtype = torch.float32,
    tied: bool = False,
    max_shard_size: str = "5GB",
    seed: int = 0,
    hidden_size: int = 32,
    chat_template: str | None = CHATML,
) -> Path:
    """A two-layer model with grouped-query attention (Qwen2 with attention biases) and its tokenizer."""
    tokenizer = byte_tokenizer(chat_template=chat_template)
    configuration_class, model_class = _CLASSES[architecture]
    configuration = configuration_class(
        vocab_size=len(tokenizer),
        hidden_size=hidden_size,
        intermediate_size=2 * hidden_size,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=tied,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(seed)
    model = model_class(configuration).to(dtype)
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.1)
    model.save_pretrained(folder, max_shard_size=max_shard_size)
    tokenizer.save_pretrained(folder)
    return folder


def build_adapter(
    folder: Path,
    base_folder: Path,
    *,
    r: int = 4,
    alpha: float = 8,
    seed: int = 1,
    zero: bool = False,
    std: float = 0.05,
    **options: Any,
) -> Path:
    """A PEFT adapter with random factors, both non-zero; with `zero` B stays 0 as before training."""
    torch.manual_seed(seed)
    base = AutoModelForCausalLM.from_pretrained(base_folder, dtype=torch.float32)
    options = {"target_modules": "all-linear"} | options
    model = get_peft_model(base, LoraConfig(r=r, lora_alpha=alpha, task_type="CAUSAL_LM", **options))
    if not zero:
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                torch.nn.init.normal_(parameter, std=std)
    model.save_pretrained(folder)
    (folder / "README.md").unlink()
    return folder

"""What ranks do with a base that is not what it should be, and with one that only transformers can load."""

import os
from pathlib import Path

import pytest
import torch
from tests.paft_trainer.training.base_loading.changed_checkpoint import Tensors, change
from tests.paft_trainer.training.base_loading.loaded_models import LoadCase, Loaded, load_on_ranks
from tests.paft_trainer.training.base_loading.local_pieces import index_pieces
from tests.tiny_models import build_checkpoint, byte_tokenizer
from transformers import LlamaForCausalLM, MixtralConfig, MixtralForCausalLM, Qwen2MoeConfig, Qwen2MoeForCausalLM

from paft_api.causes import Cause

pytestmark = pytest.mark.slow

NORM = "model.layers.1.input_layernorm.weight"
UP = "model.layers.1.mlp.up_proj.weight"
RANKS = 2


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Loaded]]:
    """By case, what each of two ranks saw."""
    root = tmp_path_factory.mktemp("refused")
    base = build_checkpoint(root / "base", "llama", hidden_size=128)
    cases = {
        "missing": change(base, root / "missing", without(NORM)),
        "unexpected": change(base, root / "unexpected", lambda tensors: tensors | {"model.extra": torch.ones(3)}),
        "misshapen": change(base, root / "misshapen", lambda tensors: tensors | {NORM: torch.ones(129)}),
        "mixtral": save_experts(root / "mixtral", MixtralForCausalLM(MixtralConfig(**SMALL))),
        "qwen2-moe": save_experts(root / "qwen2-moe", Qwen2MoeForCausalLM(Qwen2MoeConfig(**SMALL))),
        "headless": save_without_head(root / "headless", base),
        "quantized": quantize(base, root / "quantized"),
    }
    named = {name: LoadCase(folder=str(folder)) for name, folder in cases.items()}
    for rank in range(RANKS):
        damaged = damage(base, root / f"damaged-{rank}", rank)
        named[damaged.name] = LoadCase(folder=str(damaged), indexed_as=str(base))
    outcomes = load_on_ranks(list(named.values()), ranks=RANKS, directory=root / "ranks")
    return dict(zip(named, outcomes, strict=True))


SMALL = {
    "vocab_size": 259,
    "hidden_size": 64,
    "intermediate_size": 96,
    "moe_intermediate_size": 96,
    "shared_expert_intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_local_experts": 4,
    "num_experts": 4,
    "num_experts_per_tok": 2,
}


def without(name: str) -> "Callable[[Tensors], Tensors]":
    return lambda tensors: {other: tensor for other, tensor in tensors.items() if other != name}

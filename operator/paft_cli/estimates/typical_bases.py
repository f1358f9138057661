"""Shapes of usual decoders by size, for a base that cannot be read from here."""

import math
from typing import Any

from paft_cli.estimates.base_shape import BaseShape, StoredTensor, base_shape


def _sizes(
    hidden: int, layers: int, heads: int, keys: int, inner: int, vocabulary: int, *, tied: bool
) -> dict[str, Any]:
    return {
        "model_type": "llama",
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": keys,
        "intermediate_size": inner,
        "vocab_size": vocabulary,
        "tie_word_embeddings": tied,
    }


TYPICAL_SIZES: dict[str, dict[str, Any]] = {
    "1b": _sizes(2048, 16, 32, 8, 8192, 128256, tied=True),
    "3b": _sizes(3072, 28, 24, 8, 8192, 128256, tied=True),
    "7b": _sizes(4096, 32, 32, 8, 14336, 32768, tied=False),
    "8b": _sizes(4096, 32, 32, 8, 14336, 128256, tied=False),
    "13b": _sizes(5120, 40, 40, 40, 13824, 32000, tied=False),
    "32b": _sizes(5120, 64, 40, 8, 27648, 152064, tied=False),
    "70b": _sizes(8192, 80, 64, 8, 28672, 128256, tied=False),
}
"""config.json of Llama 3.2 1B and 3B, Mistral 7B v0.3, Llama 3.1 8B, Llama 2 13B, Qwen2.5 32B and Llama 3.3 70B, as far
as shapes go."""


def typical_base(size: str) -> BaseShape:
    """The shape of a bf16 base of a size in TYPICAL_SIZES."""
    config = TYPICAL_SIZES[size]
    shapes = llama_shapes(config)
    return base_shape(config, {name: StoredTensor(shape=one, size=2 * math.prod(one)) for name, one in shapes.items()})


def llama_shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """All tensors of a Llama with these sizes; without a head where it is tied."""
    hidden, inner, vocabulary = (config[name] for name in ("hidden_size", "intermediate_size", "vocab_size"))
    keys = hidden // config["num_attention_heads"] * config["num_key_value_heads"]
    layer = {
        "input_layernorm": (hidden,),
        "post_attention_layernorm": (hidden,),
        "self_attn.q_proj": (hidden, hidden),
        "self_attn.k_proj": (keys, hidden),
        "self_attn.v_proj": (keys, hidden),
        "self_attn.o_proj": (hidden, hidden),
        "mlp.gate_proj": (inner, hidden),
        "mlp.up_proj": (inner, hidden),
        "mlp.down_proj": (hidden, inner),
    }
    shapes: dict[str, tuple[int, ...]] = {
        f"model.layers.{index}.{name}.weight": shape
        for index in range(config["num_hidden_layers"])
        for name, shape in layer.items()
    }
    shapes |= {"model.embed_tokens.weight": (vocabulary, hidden), "model.norm.weight": (hidden,)}
    return shapes if config["tie_word_embeddings"] else shapes | {"lm_head.weight": (vocabulary, hidden)}

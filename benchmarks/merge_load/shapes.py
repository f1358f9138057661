"""Sizes of the Llamas that are merged."""

import math
from dataclasses import dataclass

BFLOAT16_BYTES = 2
RANK = 16


@dataclass(frozen=True, kw_only=True)
class ModelShape:
    """A Llama with an untied head. `head_size` is that of queries, keys and values alike."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    key_value_heads: int
    vocabulary: int

    @property
    def head_size(self) -> int:
        """Columns of one head."""
        return self.hidden // self.heads

    def linear_modules(self) -> dict[str, tuple[int, int]]:
        """Every linear module of every layer, by name, with its [out_features, in_features]."""
        key_value = self.key_value_heads * self.head_size
        of_layer = {
            "self_attn.q_proj": (self.hidden, self.hidden),
            "self_attn.k_proj": (key_value, self.hidden),
            "self_attn.v_proj": (key_value, self.hidden),
            "self_attn.o_proj": (self.hidden, self.hidden),
            "mlp.gate_proj": (self.intermediate, self.hidden),
            "mlp.up_proj": (self.intermediate, self.hidden),
            "mlp.down_proj": (self.hidden, self.intermediate),
        }
        return {
            f"model.layers.{layer}.{name}": shape for layer in range(self.layers) for name, shape in of_layer.items()
        }

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Every tensor of the checkpoint, by name, in the order in which it is written."""
        layers: dict[str, tuple[int, ...]] = {}
        for module, shape in self.linear_modules().items():
            layer = ".".join(module.split(".")[:3])
            layers.setdefault(f"{layer}.input_layernorm.weight", (self.hidden,))
            layers.setdefault(f"{layer}.post_attention_layernorm.weight", (self.hidden,))
            layers[f"{module}.weight"] = shape
        vocabulary = (self.vocabulary, self.hidden)
        ends = {"model.norm.weight": (self.hidden,), "lm_head.weight": vocabulary}
        return {"model.embed_tokens.weight": vocabulary} | layers | ends

    @property
    def adapted_elements(self) -> int:
        """Entries of all weights that the adapters change."""
        return sum(math.prod(shape) for shape in self.linear_modules().values())

    @property
    def weight_bytes(self) -> int:
        """Bytes of all tensors in bfloat16."""
        return BFLOAT16_BYTES * sum(math.prod(shape) for shape in self.tensors().values())


_TINYLLAMA = {"hidden": 2048, "intermediate": 5632, "heads": 32, "key_value_heads": 4, "vocabulary": 32000}

SIZES = {
    "0.3b": ModelShape(layers=4, **_TINYLLAMA),
    "1.1b": ModelShape(layers=22, **_TINYLLAMA),
    "7b": ModelShape(hidden=4096, intermediate=11008, layers=32, heads=32, key_value_heads=32, vocabulary=32000),
}
"""1.1b is TinyLlama-1.1B, 0.3b its first four layers, 7b is Llama-2-7B."""

START_UP = ModelShape(hidden=64, intermediate=128, layers=1, heads=4, key_value_heads=2, vocabulary=512)
"""So small that a merge of it takes what any merge takes before its first byte."""

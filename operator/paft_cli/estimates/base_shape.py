"""The base as arithmetic needs it: from config.json and the headers of its safetensors files."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from paft_cli.estimates.errors import CannotEstimate

_HEAD = "lm_head.weight"
_EMBEDDINGS = ("embed_tokens", "embed_in", "wte", "wpe", "word_embeddings", "embed_positions")
_ALIASES = {
    "hidden_size": ("hidden_size", "n_embd", "d_model"),
    "num_hidden_layers": ("num_hidden_layers", "n_layer", "num_layers"),
    "num_attention_heads": ("num_attention_heads", "n_head", "num_heads"),
    "vocab_size": ("vocab_size",),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredTensor:
    """One tensor of the checkpoint. `size`: bytes."""

    shape: tuple[int, ...]
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class LinearShape:
    """One linear module: `inputs` and `outputs` are the sides of its weight."""

    name: str
    inputs: int
    outputs: int


@dataclass(frozen=True, kw_only=True, slots=True)
class BaseShape:
    """Shapes of a decoder. Counts are of elements.

    `parameters`: of all tensors, tied ones once. `stored_bytes`: of the weights' files' tensors. `heads`: of queries.
    `query_size` and `key_size`: outputs of the query and of the key projection. `linears`: the modules that all-linear
    adapts. `is_gated`: whether the MLP has a gate. `has_query_norms`: whether queries and keys are normalised, too.
    `active_share`: of the linear parameters, the share that one token passes; below 1 for mixtures of experts.
    `modules`: elements of each module that has tensors of its own, by name.
    """

    model_type: str
    parameters: int
    stored_bytes: int
    hidden_size: int
    layers: int
    heads: int
    query_size: int
    key_size: int
    intermediate_size: int
    vocab_size: int
    largest_tensor: int
    is_gated: bool
    has_query_norms: bool
    active_share: float
    linears: tuple[LinearShape, ...]
    modules: Mapping[str, int]

    @property
    def linear_parameters(self) -> int:
        """Elements of the weights of all linear modules, the output head left out."""
        return sum(linear.inputs * linear.outputs for linear in self.linears)


def base_shape(config: Mapping[str, Any], tensors: Mapping[str, StoredTensor]) -> BaseShape:
    """The shape of a base. `config`: config.json; `tensors`: all that its files hold, by name.

    Raises CannotEstimate where config.json lacks a size, or the weights are quantised.
    """
    if "quantization_config" in config:
        raise CannotEstimate(
            "config.json has quantization_config: the memory of quantised weights is not known here",
            remedy="Use the base in bf16, fp16 or fp32.",
        )
    text = config.get("text_config", config)
    hidden, layers, heads, vocabulary = (_size(text, name) for name in _ALIASES)
    head_size = text.get("head_dim") or hidden // heads
    tied = bool(config.get("tie_word_embeddings", text.get("tie_word_embeddings", False)))
    counted = {name: one for name, one in tensors.items() if not (tied and name == _HEAD and _has_embedding(tensors))}
    return BaseShape(
        model_type=str(config.get("model_type", "unknown")),
        parameters=sum(math.prod(one.shape) for one in counted.values()),
        stored_bytes=sum(one.size for one in tensors.values()),
        hidden_size=hidden,
        layers=layers,
        heads=heads,
        query_size=heads * head_size,
        key_size=(text.get("num_key_value_heads") or heads) * head_size,
        intermediate_size=_intermediate_size(text, hidden),
        vocab_size=vocabulary,
        largest_tensor=max(math.prod(one.shape) for one in counted.values()),
        is_gated=any("gate" in name or name.endswith(".w3.weight") for name in tensors),
        has_query_norms=any("q_norm" in name for name in tensors),
        active_share=_active_share(text, counted),
        linears=_linears(tensors),
        modules=_modules(counted),
    )


def _size(config: Mapping[str, Any], name: str) -> int:
    found = next((config[alias] for alias in _ALIASES[name] if alias in config), None)
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        raise CannotEstimate(
            f"config.json: {name} is {'missing' if found is None else repr(found)}",
            remedy="Use a decoder whose config.json tells its sizes in the usual names.",
        )
    return found


def _intermediate_size(config: Mapping[str, Any], hidden: int) -> int:
    """Of the MLP that one token passes; with experts the sum of those that it is sent to."""
    size = config.get("intermediate_size") or config.get("n_inner") or config.get("ffn_dim") or 4 * hidden
    experts = config.get("num_experts_per_tok")
    return int(experts * config.get("moe_intermediate_size", size)) if experts else int(size)


def _has_embedding(tensors: Mapping[str, StoredTensor]) -> bool:
    return any(_is_embedding(name) for name in tensors)


def _is_embedding(name: str) -> bool:
    return any(part in _EMBEDDINGS for part in name.split("."))


def _is_expert(name: str) -> bool:
    return "experts" in name.split(".")


def _active_share(config: Mapping[str, Any], tensors: Mapping[str, StoredTensor]) -> float:
    per_token = config.get("num_experts_per_tok")
    count = config.get("num_local_experts") or config.get("num_experts") or config.get("n_routed_experts")
    if not per_token or not count:
        return 1.0
    matrices = {name: one for name, one in tensors.items() if _is_matrix(name, one)}
    total = sum(math.prod(one.shape) for one in matrices.values())
    experts = sum(math.prod(one.shape) for name, one in matrices.items() if _is_expert(name))
    return float((total - experts * (1 - per_token / count)) / total)


def _is_matrix(name: str, tensor: StoredTensor) -> bool:
    """Whether it is multiplied with every token: no embedding and no output head."""
    return len(tensor.shape) >= 2 and not _is_embedding(name) and name != _HEAD


def _modules(tensors: Mapping[str, StoredTensor]) -> dict[str, int]:
    elements: Counter[str] = Counter()
    for name, one in tensors.items():
        elements[name.rpartition(".")[0]] += math.prod(one.shape)
    return dict(elements)


def _linears(tensors: Mapping[str, StoredTensor]) -> tuple[LinearShape, ...]:
    """Modules that transformers builds as torch.nn.Linear; of experts it makes one parameter each, without modules."""
    return tuple(
        LinearShape(name=name.removesuffix(".weight"), inputs=one.shape[1], outputs=one.shape[0])
        for name, one in tensors.items()
        if name.endswith(".weight") and len(one.shape) == 2 and _is_matrix(name, one) and not _is_expert(name)
    )

"""A base so small that everything can be computed by hand, and arms on it."""

from typing import Any

from paft_api.spec.data import DataFormat, DataSource, DataSpec
from paft_api.spec.lora import LoraSpec
from paft_api.spec.preference import PreferenceSpec
from paft_api.spec.resources import ArmResources
from paft_api.spec.sft import SftSpec
from paft_api.spec.training import PreferenceTrainingSpec, SftTrainingSpec
from paft_cli.estimates.arm_setting import ArmSetting, arm_setting
from paft_cli.estimates.base_shape import BaseShape, StoredTensor, base_shape

CONFIG = {
    "model_type": "llama",
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "intermediate_size": 16,
    "vocab_size": 32,
    "tie_word_embeddings": False,
}

SEVEN_B = CONFIG | {
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "vocab_size": 32768,
}
"""The sizes of Mistral 7B v0.3."""


def llama_tensors(config: dict[str, Any], *, element_bytes: int = 2) -> dict[str, StoredTensor]:
    """All tensors of a Llama with these sizes; without a head where it is tied."""
    hidden, inner, vocabulary = (config[name] for name in ("hidden_size", "intermediate_size", "vocab_size"))
    keys = hidden // config["num_attention_heads"] * config["num_key_value_heads"]
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (vocabulary, hidden),
        "model.norm.weight": (hidden,),
    }
    for layer in range(config["num_hidden_layers"]):
        place = f"model.layers.{layer}"
        for name in ("input_layernorm", "post_attention_layernorm"):
            shapes[f"{place}.{name}.weight"] = (hidden,)
        for name, sides in {
            "self_attn.q_proj": (hidden, hidden),
            "self_attn.k_proj": (keys, hidden),
            "self_attn.v_proj": (keys, hidden),
            "self_attn.o_proj": (hidden, hidden),
            "mlp.gate_proj": (inner, hidden),
            "mlp.up_proj": (inner, hidden),
            "mlp.down_proj": (hidden, inner),
        }.items():
            shapes[f"{place}.{name}.weight"] = sides
    if not config["tie_word_embeddings"]:
        shapes["lm_head.weight"] = (vocabulary, hidden)
    return {name: _tensor(shape, element_bytes) for name, shape in shapes.items()}


def _tensor(shape: tuple[int, ...], element_bytes: int) -> StoredTensor:
    size = element_bytes
    for side in shape:
        size *= side
    return StoredTensor(shape=shape, size=size)


def tiny_base(**changes: Any) -> BaseShape:
    """Two layers of 8 dimensions."""
    config = CONFIG | changes
    return base_shape(config, llama_tensors(config))


def sft_setting(
    base: BaseShape | None = None,
    *,
    lora: dict[str, Any] | None = None,
    resources: dict[str, Any] | None = None,
    **training: Any,
) -> ArmSetting:
    """An SFT arm on one GPU, rank 2."""
    spec = SftSpec(
        data=_data(DataFormat.MESSAGES),
        lora=LoraSpec(**{"r": 2} | (lora or {})),
        training=SftTrainingSpec(**{"max_length": 16, "global_batch_size": 4} | training),
        resources=ArmResources(**(resources or {})),
    )
    return arm_setting(base or tiny_base(), spec, field="spec.sft")


def preference_setting(base: BaseShape | None = None, **training: Any) -> ArmSetting:
    """A DPO arm on one GPU, rank 2."""
    spec = PreferenceSpec(
        data=_data(DataFormat.PREFERENCE),
        lora=LoraSpec(r=2),
        training=PreferenceTrainingSpec(**{"max_length": 16, "global_batch_size": 4} | training),
    )
    return arm_setting(base or tiny_base(), spec, field="spec.preference")


def _data(form: DataFormat) -> DataSpec:
    return DataSpec(train=(DataSource(uri="s3://data/rows.jsonl", format=form),))

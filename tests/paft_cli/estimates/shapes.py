"""A base so small that everything can be computed by hand, and arms on it."""

import math
from typing import Any

from paft_api.spec.data import DataFormat, DataSource, DataSpec
from paft_api.spec.lora import LoraSpec
from paft_api.spec.preference import PreferenceSpec
from paft_api.spec.resources import ArmResources
from paft_api.spec.sft import SftSpec
from paft_api.spec.training import PreferenceTrainingSpec, SftTrainingSpec
from paft_cli.estimates.arm_setting import ArmSetting, arm_setting
from paft_cli.estimates.base_shape import BaseShape, StoredTensor, base_shape
from paft_cli.estimates.typical_bases import llama_shapes

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


def llama_tensors(config: dict[str, Any]) -> dict[str, StoredTensor]:
    """All tensors of a Llama with these sizes, in bf16."""
    return {name: StoredTensor(shape=shape, size=2 * math.prod(shape)) for name, shape in llama_shapes(config).items()}


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

"""Which modules get factors, compared with what PEFT makes of the configuration."""

from typing import Any

import pytest
import torch
from peft import get_peft_model
from peft.tuners.lora import LoraLayer
from peft.utils import ModulesToSaveWrapper
from transformers import LlamaConfig, LlamaForCausalLM

from paft_api.adapter_modules import adapted_modules, saved_modules
from paft_api.spec.lora import LoraSpec
from paft_trainer.errors import ConfigInvalid
from paft_trainer.training.adapter_targets import (
    adapter_configuration,
    base_modules,
)


def tiny_model(*, tied: bool = False) -> LlamaForCausalLM:
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=16,
            hidden_size=8,
            intermediate_size=16,
            num_hidden_layers=3,
            num_attention_heads=2,
            num_key_value_heads=1,
            tie_word_embeddings=tied,
        )
    )


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 21),
        ({"target_modules": ("q_proj", "layers.1.mlp.up_proj")}, 4),
        ({"target_modules": ("q_proj", "up_proj"), "layers_to_transform": (0, 2)}, 4),
        ({"layers_to_transform": (1,), "layers_pattern": ("layers",)}, 7),
        ({"target_modules_pattern": r"model\.layers\.[02]\.self_attn\.(q|k)_proj"}, 4),
        ({"target_modules_pattern": r".*_proj", "exclude_modules": ("layers.0.mlp.up_proj", "o_proj")}, 17),
        ({"exclude_modules": ("self_attn.q_proj", "layers.2.mlp.down_proj")}, 17),
        ({"modules_to_save": ("norm", "lm_head", "layers.1.self_attn.k_proj")}, 20),
        ({"modules_to_save": ("input_layernorm", "embed_tokens"), "layers_to_transform": (2,)}, 7),
    ],
)
def test_peft_adapts_and_saves_exactly_these(options: dict[str, Any], count: int) -> None:
    lora = LoraSpec(r=2, **options)
    modules = base_modules(tiny_model())
    model = tiny_model()

    adapted = get_peft_model(model, adapter_configuration(model, lora))

    named = [(name.removeprefix("base_model.model."), module) for name, module in adapted.named_modules()]
    assert [name for name, module in named if isinstance(module, LoraLayer)] == list(
        adapted_modules(modules.linear, lora)
    )
    assert len(adapted_modules(modules.linear, lora)) == count
    wrapped = [name for name, module in named if isinstance(module, ModulesToSaveWrapper)]
    assert wrapped == list(saved_modules(modules.whole, lora))


def test_a_norm_is_not_every_module_whose_name_ends_so() -> None:
    modules = base_modules(tiny_model())

    assert saved_modules(modules.whole, LoraSpec(modules_to_save=("norm",))) == ("model.norm",)


def test_ranks_and_scales_follow_their_patterns() -> None:
    lora = LoraSpec(
        r=4, alpha=8, rank_pattern={"q_proj": 2, r"layers\.1\..*": 6}, alpha_pattern={"q_proj": 3.0}, rslora=False
    )
    model = tiny_model()

    adapted = get_peft_model(model, adapter_configuration(model, lora))

    layers = {name: module for name, module in adapted.named_modules() if isinstance(module, LoraLayer)}
    found = {
        name.removeprefix("base_model.model.model.layers."): (module.r["default"], module.scaling["default"])
        for name, module in layers.items()
    }
    assert found["0.self_attn.q_proj"] == (2, 3 / 2)
    # The first pattern that matches counts.
    assert found["1.self_attn.q_proj"] == (2, 3 / 2)
    assert found["1.mlp.up_proj"] == (6, 8 / 6)
    assert found["2.mlp.up_proj"] == (4, 2)


def test_an_embedding_that_is_tied_to_the_head_is_not_trained_whole() -> None:
    model = tiny_model(tied=True)

    with pytest.raises(ConfigInvalid) as caught:
        adapter_configuration(model, LoraSpec(modules_to_save=("norm", "embed_tokens")))

    assert caught.value.message == (
        "modulesToSave: the base ties its head to its embedding, and with model.embed_tokens trained alone they would "
        "no longer be one"
    )
    assert adapter_configuration(model, LoraSpec(modules_to_save=("norm",))).modules_to_save == ["model.norm"]


@pytest.mark.parametrize("initialisation", ["default", "gaussian", "orthogonal"])
def test_every_initialisation_begins_at_the_base(initialisation: Any) -> None:
    torch.manual_seed(0)
    model = tiny_model()
    adapted = get_peft_model(model, adapter_configuration(model, LoraSpec(r=4, init_lora_weights=initialisation)))

    for module in adapted.modules():
        if isinstance(module, LoraLayer):
            a, b = module.lora_A["default"].weight.detach(), module.lora_B["default"].weight.detach()
            assert float(a.abs().max()) > 0
            assert float((b @ a).abs().max()) < 1e-6

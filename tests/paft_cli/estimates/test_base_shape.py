"""The base's shape."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.paft_cli.estimates.shapes import CONFIG, SEVEN_B, llama_tensors, tiny_base
from tests.tiny_models import Architecture, build_checkpoint
from transformers import AutoModelForCausalLM

from paft_api.spec.base import BaseSpec
from paft_cli.base_reading import read_base_shape
from paft_cli.estimates.base_shape import StoredTensor, base_shape
from paft_cli.estimates.errors import CannotEstimate
from paft_trainer.storage.file_store import FileStore, uri_of


def test_parameters_are_counted_by_hand() -> None:
    shape = tiny_base()
    # Each layer: q and o 8×8, k and v 4×8, gate, up and down 16×8, two norms of 8.
    layer = 2 * 64 + 2 * 32 + 3 * 128
    assert shape.linear_parameters == 2 * layer == 1152
    assert shape.parameters == 2 * (layer + 16) + 2 * 32 * 8 + 8 == 1704
    assert shape.stored_bytes == 2 * 1704
    assert (shape.query_size, shape.key_size, shape.heads, shape.largest_tensor) == (8, 4, 2, 256)
    assert shape.is_gated
    assert not shape.has_query_norms
    assert shape.active_share == 1.0


def test_mistral_7b_has_as_many_parameters_as_its_card_says() -> None:
    assert base_shape(SEVEN_B, llama_tensors(SEVEN_B)).parameters == 7_248_023_552


def test_a_tied_head_that_is_stored_too_counts_once() -> None:
    tensors = llama_tensors(CONFIG)
    shape = base_shape(CONFIG | {"tie_word_embeddings": True}, tensors)
    assert shape.parameters == 1704 - 256
    assert shape.stored_bytes == 2 * 1704


def test_of_experts_each_token_passes_some() -> None:
    experts = {
        f"model.layers.0.mlp.experts.{expert}.up_proj.weight": StoredTensor(shape=(16, 8), size=256)
        for expert in range(4)
    }
    attention = {"model.layers.0.self_attn.q_proj.weight": StoredTensor(shape=(8, 8), size=128)}
    config = CONFIG | {"num_experts_per_tok": 1, "num_local_experts": 4, "moe_intermediate_size": 16}
    shape = base_shape(config, experts | attention)
    assert shape.active_share == pytest.approx((64 + 128) / (64 + 4 * 128))
    assert [linear.name for linear in shape.linears] == ["model.layers.0.self_attn.q_proj"]
    assert shape.intermediate_size == 16


def test_sizes_of_a_model_of_several_parts_are_those_of_its_text() -> None:
    shape = base_shape({"model_type": "gemma3", "text_config": CONFIG | {"head_dim": 16}}, llama_tensors(CONFIG))
    assert (shape.hidden_size, shape.query_size, shape.key_size) == (8, 32, 16)


@pytest.mark.parametrize(
    ("changes", "message", "remedy"),
    [
        (
            {"hidden_size": None},
            "config.json: hidden_size is missing",
            "Use a decoder whose config.json tells its sizes in the usual names.",
        ),
        (
            {"num_hidden_layers": "two"},
            "config.json: num_hidden_layers is 'two'",
            "Use a decoder whose config.json tells its sizes in the usual names.",
        ),
        (
            {"num_attention_heads": 0},
            "config.json: num_attention_heads is 0",
            "Use a decoder whose config.json tells its sizes in the usual names.",
        ),
        (
            {"vocab_size": True},
            "config.json: vocab_size is True",
            "Use a decoder whose config.json tells its sizes in the usual names.",
        ),
        (
            {"quantization_config": {"quant_method": "gptq"}},
            "config.json has quantization_config: the memory of quantised weights is not known here",
            "Use the base in bf16, fp16 or fp32.",
        ),
    ],
)
def test_a_base_that_is_not_known_is_refused(changes: dict[str, Any], message: str, remedy: str) -> None:
    with pytest.raises(CannotEstimate) as raised:
        base_shape(CONFIG | changes, llama_tensors(CONFIG))
    assert (str(raised.value), raised.value.remedy) == (message, remedy)


@pytest.mark.parametrize("architecture", ["llama", "mistral", "qwen2"])
@pytest.mark.parametrize("tied", [False, True])
def test_counts_are_those_of_the_model_that_torch_builds(
    tmp_path: Path, architecture: Architecture, tied: bool
) -> None:
    folder = build_checkpoint(tmp_path / "base", architecture, tied=tied, max_shard_size="20KB")
    shape = read_base_shape(FileStore(), BaseSpec(uri=uri_of(folder) + "/"))
    model = AutoModelForCausalLM.from_pretrained(folder)
    head = model.get_output_embeddings()
    linears = {
        name: (module.in_features, module.out_features)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and module is not head
    }
    assert shape.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert {linear.name: (linear.inputs, linear.outputs) for linear in shape.linears} == linears
    assert (shape.model_type, shape.layers) == (architecture, 2)

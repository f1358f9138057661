"""Rows in one packed sequence: computed as if alone, in every architecture that is said to do so."""

from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from paft_trainer.training.batching.layouts import TokenSequence, packed
from paft_trainer.training.isolated_attention import ISOLATING_MODEL_TYPES, isolate_rows

VOCABULARY = 64
LENGTHS = (11, 5, 17, 1, 8)
WINDOW = 6
WINDOWED = {
    "mistral": {"sliding_window": WINDOW},
    "phi3": {"sliding_window": WINDOW},
    "qwen2": {"use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 1},
    "qwen3": {"use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 1},
    "smollm3": {"use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 1},
}
CASES = [(name, {}) for name in sorted(ISOLATING_MODEL_TYPES)] + sorted(WINDOWED.items())


def tiny(model_type: str, **options: Any) -> PreTrainedModel:
    """Two layers of random weights, in fp32, with attention as its authors wrote it."""
    configuration = AutoConfig.for_model(
        model_type,
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=64,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
        **options,
    )
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(configuration, attn_implementation="eager")
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.2)
    return model


def sequences(seed: int = 0) -> list[TokenSequence]:
    generator = torch.Generator().manual_seed(seed)
    rows = [torch.randint(3, VOCABULARY, (length,), generator=generator).tolist() for length in LENGTHS]
    return [TokenSequence(ids=row, labels=row) for row in rows]


def logits_alone(model: PreTrainedModel) -> torch.Tensor:
    return torch.cat([model(input_ids=torch.tensor([row.ids])).logits[0] for row in sequences()])


def logits_packed(model: PreTrainedModel, rows: list[TokenSequence], **changes: Any) -> torch.Tensor:
    inputs = packed(rows) | changes
    del inputs["labels"]
    return model(**inputs, use_cache=False).logits[0]


@pytest.mark.parametrize(("model_type", "options"), CASES)
def test_packed_rows_give_the_outputs_and_gradients_that_they_give_alone(
    model_type: str, options: dict[str, Any]
) -> None:
    model = tiny(model_type, **options)
    weight = model.get_input_embeddings().weight
    alone = logits_alone(model)
    (gradient,) = torch.autograd.grad(alone.square().mean(), weight)

    assert isolate_rows(model)
    together = logits_packed(model, sequences())
    (packed_gradient,) = torch.autograd.grad(together.square().mean(), weight)
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)
    torch.testing.assert_close(packed_gradient, gradient, rtol=0, atol=1e-5)


@pytest.mark.parametrize("model_type", sorted(ISOLATING_MODEL_TYPES))
def test_a_row_does_not_change_by_a_bit_with_the_others(model_type: str) -> None:
    model = tiny(model_type)
    isolate_rows(model)
    rows = sequences()
    others = [*sequences(seed=1)[:2], rows[2], *sequences(seed=1)[3:]]
    place = slice(sum(LENGTHS[:2]), sum(LENGTHS[:3]))

    assert torch.equal(logits_packed(model, rows)[place], logits_packed(model, others)[place])


def test_without_their_lengths_rows_would_see_each_other() -> None:
    model = tiny("llama")
    alone = logits_alone(model)
    isolate_rows(model)

    assert (logits_packed(model, sequences(), row_lengths=None) - alone).abs().max() > 0.01


def test_the_padded_layout_keeps_its_mask() -> None:
    model = tiny("mistral", sliding_window=WINDOW)
    ids = torch.randint(3, VOCABULARY, (2, 12), generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[1] * 12, [1] * 7 + [0] * 5])
    expected = model(input_ids=ids, attention_mask=mask).logits
    isolate_rows(model)

    found = model(input_ids=ids, attention_mask=mask).logits
    torch.testing.assert_close(found[mask.bool()], expected[mask.bool()], rtol=0, atol=1e-5)


@pytest.mark.parametrize("model_type", ["gpt2", "mamba"])
def test_other_architectures_are_left_alone(model_type: str) -> None:
    size = {"vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4}
    tokens = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **size, **tokens))
    before = model.config._attn_implementation

    assert not isolate_rows(model)
    assert model.config._attn_implementation == before

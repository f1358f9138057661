"""One batch of a tiny model: the loss and all figures of TRL's ORPOTrainer, packed and padded."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM
from trl.trainer.utils import add_fused_lm_head

from paft_api.spec.preference import OrpoSpec
from paft_trainer.training.batching.examples import PairFormWithPrompts
from paft_trainer.training.batching.layouts import packed, padded
from paft_trainer.training.isolated_attention import isolate_rows
from paft_trainer.training.orpo_trainer import OrpoArmTrainer

BETA = 0.3
ROWS = [
    {"prompt_ids": [1, 2, 3], "chosen_ids": [4, 5, 6, 7], "rejected_ids": [8]},
    {"prompt_ids": [9], "chosen_ids": [10, 11], "rejected_ids": [12, 13, 14, 15, 16]},
    {"prompt_ids": [3, 2], "chosen_ids": [1], "rejected_ids": [6, 6]},
]


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=32,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        initializer_range=0.6,
    )
    model = LlamaForCausalLM(config).eval()
    add_fused_lm_head(model)
    assert isolate_rows(model)
    return model


def ours(model: LlamaForCausalLM, *, is_packed: bool) -> tuple[float, dict[str, float]]:
    form = PairFormWithPrompts(64)
    sequences = form.sequences(ROWS)
    inputs = packed(sequences) if is_packed else padded(sequences, pad_token_id=0)
    outputs = model(**inputs, use_cache=False, fused_lm_head=True)
    learnt_tokens = sum(form.learnt_tokens(row) for row in ROWS) / len(ROWS)
    trainer: Any = SimpleNamespace(_spec=SimpleNamespace(resolved_orpo=OrpoSpec(beta=BETA)))
    losses, figures = OrpoArmTrainer.pair_losses(trainer, outputs, inputs | form.extras(ROWS), learnt_tokens)
    return float(losses.mean()), {name: float(values.double().mean()) for name, values in figures.items()}


def theirs(model: LlamaForCausalLM) -> tuple[float, dict[str, float]]:
    from trl.experimental.orpo import ORPOTrainer

    trainer = ORPOTrainer.__new__(ORPOTrainer)
    trainer.beta, trainer.padding_value = BETA, 0
    trainer.is_encoder_decoder = trainer.aux_loss_enabled = False
    trainer.accelerator = SimpleNamespace(device="cpu", gather_for_metrics=lambda value: value)
    batch = {}
    for answer in ("chosen", "rejected"):
        sequences = [[*row["prompt_ids"], *row[f"{answer}_ids"]] for row in ROWS]
        answers = [[*[-100] * len(row["prompt_ids"]), *row[f"{answer}_ids"]] for row in ROWS]
        batch[f"{answer}_input_ids"] = _filled(sequences, 0)
        batch[f"{answer}_attention_mask"] = _filled([[1] * len(sequence) for sequence in sequences], 0)
        batch[f"{answer}_labels"] = _filled(answers, -100)
    loss, figures = trainer.get_batch_loss_metrics(model, batch)
    return float(loss), figures


def _filled(rows: list[list[int]], value: int) -> torch.Tensor:
    longest = max(len(row) for row in rows)
    return torch.tensor([[*row, *[value] * (longest - len(row))] for row in rows])


@pytest.mark.filterwarnings("ignore:You are importing from 'trl.experimental'")
@pytest.mark.parametrize("is_packed", [True, False])
@torch.no_grad()
def test_loss_and_figures_are_trls(model: LlamaForCausalLM, is_packed: bool) -> None:
    (loss, figures), (their_loss, their_figures) = ours(model, is_packed=is_packed), theirs(model)

    assert loss == pytest.approx(their_loss, rel=1e-5)
    assert figures == pytest.approx({name: their_figures[name] for name in figures}, rel=1e-4, abs=1e-6)
    assert their_figures.keys() - figures.keys() == {"logits/chosen", "logits/rejected"}

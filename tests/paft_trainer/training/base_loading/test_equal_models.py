"""What is loaded, against what transformers loads under ZeRO-3 and in one process: every byte, on 1 to 4 ranks."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.paft_trainer.training.base_loading.changed_checkpoint import change
from tests.paft_trainer.training.base_loading.loaded_models import LoadCase, Loaded, load_on_ranks
from tests.tiny_models import build_checkpoint, byte_tokenizer
from transformers import Gemma4ForCausalLM, Gemma4TextConfig

pytestmark = pytest.mark.slow

HIDDEN = 128
"""So large that matrices are cut into several pieces, and ranks share some of them."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All checkpoints."""
    root = tmp_path_factory.mktemp("bases")
    build_checkpoint(root / "llama-float32", "llama", hidden_size=HIDDEN)
    build_checkpoint(root / "llama-bfloat16", "llama", hidden_size=HIDDEN, dtype=torch.bfloat16, tied=True)
    build_checkpoint(root / "mistral-float16", "mistral", hidden_size=HIDDEN, dtype=torch.float16)
    build_checkpoint(root / "qwen2-float32", "qwen2", hidden_size=HIDDEN, max_shard_size="200KB")
    build_checkpoint(root / "qwen2-float16", "qwen2", hidden_size=HIDDEN, dtype=torch.float16, tied=True)
    build_checkpoint(root / "qwen2-bfloat16", "qwen2", hidden_size=HIDDEN, dtype=torch.bfloat16)
    change(root / "llama-bfloat16", root / "tied-both", lambda tensors: tensors | {HEAD: tensors[EMBEDDING].clone()})
    change(root / "llama-bfloat16", root / "tied-head-only", lambda tensors: {HEAD: tensors.pop(EMBEDDING)} | tensors)
    change(root / "llama-bfloat16", root / "tied-differing", lambda tensors: tensors | {HEAD: tensors[EMBEDDING] + 1})
    change(root / "llama-bfloat16", root / "ignored", lambda tensors: tensors | {OLD_BUFFER: torch.ones(16)})
    build_buffers(root / "buffers")
    return root


EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
OLD_BUFFER = "model.layers.0.self_attn.rotary_emb.inv_freq"
"""Llama checkpoints of 2023 have it; transformers leaves it out without a word."""
CASES = [
    LoadCase(folder="llama-float32", dtype="float32"),
    LoadCase(folder="llama-float32", dtype="float16"),
    LoadCase(folder="llama-bfloat16", dtype="bfloat16"),
    LoadCase(folder="llama-bfloat16", dtype="float32", persistence_threshold=100_000),
    LoadCase(folder="mistral-float16", dtype="float16", persistence_threshold=0),
    LoadCase(folder="mistral-float16", dtype="float32"),
    LoadCase(folder="qwen2-float32", dtype="bfloat16"),
    LoadCase(folder="qwen2-float16", dtype="bfloat16", persistence_threshold=0),
    LoadCase(folder="qwen2-bfloat16", dtype="float16"),
]
"""Every dtype of a file with every one of a model."""
SPECIAL_CASES = [
    LoadCase(folder=name, dtype="bfloat16") for name in ("tied-both", "tied-head-only", "ignored", "buffers")
]


def build_buffers(folder: Path) -> None:
    """An architecture whose checkpoints hold buffers."""
    configuration = Gemma4TextConfig(
        vocab_size=259,
        vocab_size_per_layer_input=259,
        hidden_size=64,
        hidden_size_per_layer_input=16,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        global_head_dim=16,
        layer_types=["sliding_attention", "full_attention"],
    )
    model = Gemma4ForCausalLM(configuration)
    for number, layer in enumerate(model.model.layers):
        layer.layer_scalar.fill_(0.5 + number)
    model.save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)


def of(folder: Path, cases: list[LoadCase]) -> list[LoadCase]:
    return [
        LoadCase(folder=str(folder / case.folder), dtype=case.dtype, persistence_threshold=case.persistence_threshold)
        for case in cases
    ]


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_partitions_are_those_of_transformers_byte_for_byte(folder: Path, ranks: int) -> None:
    cases = CASES + SPECIAL_CASES if ranks in (2, 3) else CASES
    outcomes = load_on_ranks(of(folder, cases), ranks=ranks, directory=folder / f"on-{ranks}")
    for case, loaded in zip(cases, outcomes, strict=True):
        require_equal(case, loaded)
        assert len({one.adapter for one in loaded}) == 1, case
        read, size = sum(one.bytes_read for one in loaded), weights(folder / case.folder)
        assert read <= 1.01 * size, case
        if case.folder not in ("tied-both", "ignored"):
            assert read >= size, case


def test_one_process_loads_what_transformers_does(folder: Path) -> None:
    cases = [*CASES, *SPECIAL_CASES, LoadCase(folder="tied-differing", dtype="bfloat16")]
    outcomes = load_on_ranks(of(folder, cases), ranks=1, directory=folder / "alone", partitioned=False)
    for case, loaded in zip(cases, outcomes, strict=True):
        require_equal(case, loaded)
    assert "lm_head.weight and model.embed_tokens.weight differ in the base, and are not tied" in outcomes[-1][0].log


def require_equal(case: LoadCase, loaded: list[Loaded]) -> None:
    for one in loaded:
        assert one.failure is None, case
        assert one.differences == (), case
        assert one.compared >= 20
    assert "bytes read by" in loaded[0].log, case


def weights(folder: Path) -> int:
    """Bytes of all tensors, without those that no model has a place for."""
    tensors = {name: one for path in folder.glob("*.safetensors") for name, one in load_file(path).items()}
    return sum(one.nbytes for one in tensors.values())

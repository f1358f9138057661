"""What ranks do with a base that is not what it should be, and with one that only transformers can load."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.paft_trainer.training.base_loading.changed_checkpoint import change, damage
from tests.paft_trainer.training.base_loading.loaded_models import LoadCase, Loaded, load_on_ranks
from tests.paft_trainer.training.base_loading.local_pieces import keep_index, local_pieces
from tests.tiny_models import build_checkpoint, byte_tokenizer
from transformers import LlamaForCausalLM, MixtralConfig, MixtralForCausalLM, Qwen2MoeConfig, Qwen2MoeForCausalLM

from paft_api.causes import Cause

pytestmark = pytest.mark.slow

RANKS = 2
NORM = "model.layers.1.input_layernorm.weight"
UP = "model.layers.1.mlp.up_proj.weight"
EXPERTS = {
    "vocab_size": 259,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_experts_per_tok": 2,
}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Loaded]]:
    """By base, what each of two ranks saw."""
    root = tmp_path_factory.mktemp("refused")
    base = build_checkpoint(root / "base", "llama", hidden_size=128)
    mixtral = MixtralForCausalLM(MixtralConfig(**EXPERTS, num_local_experts=4))
    qwen2_moe = Qwen2MoeForCausalLM(
        Qwen2MoeConfig(**EXPERTS, num_experts=4, moe_intermediate_size=48, shared_expert_intermediate_size=48)
    )
    bases = [
        change(base, root / "missing", lambda tensors: {name: tensors[name] for name in tensors if name != NORM}),
        change(base, root / "unexpected", lambda tensors: tensors | {"model.extra": torch.ones(3)}),
        change(base, root / "misshapen", lambda tensors: tensors | {NORM: torch.ones(129)}),
        save(mixtral, root / "mixtral"),
        save(qwen2_moe, root / "qwen2-moe"),
        save(LlamaForCausalLM.from_pretrained(base).model, root / "headless", tie_word_embeddings=True),
        *(damaged_part(build_checkpoint(root / f"damaged-{rank}", hidden_size=128), rank) for rank in range(RANKS)),
    ]
    cases = [LoadCase(folder=str(folder)) for folder in bases]
    outcomes = load_on_ranks(cases, ranks=RANKS, directory=root / "ranks")
    return dict(zip([folder.name for folder in bases], outcomes, strict=True))


def save(model: Any, folder: Path, **settings: Any) -> Path:
    model.save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    configuration = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(configuration | settings))
    return folder


def damaged_part(folder: Path, rank: int) -> Path:
    """One bit is turned in what `rank` holds of a matrix, after the index was made."""
    keep_index(folder)
    tensor = local_pieces(folder).index.tensors[UP]
    damage(folder / tensor.file, tensor.start + (2 * rank + 1) * tensor.size // 4)
    return folder


def failures(loaded: list[Loaded]) -> set[tuple[str, str] | None]:
    return {one.failure and (one.failure[0], one.failure[1]) for one in loaded}


@pytest.mark.parametrize("rank", range(RANKS))
def test_a_wrong_byte_is_found_by_who_reads_it_and_ends_every_rank_with_the_place(
    loaded: dict[str, list[Loaded]], rank: int
) -> None:
    (failure,) = failures(loaded[f"damaged-{rank}"])
    assert failure is not None
    assert failure[0] == Cause.ARTIFACT_MISMATCH
    assert "model.safetensors is not what was indexed: twice it came with wrong bytes" in failure[1]
    assert f"(tensor {UP}, its bytes " in failure[1]


@pytest.mark.parametrize(
    ("base", "message"),
    [
        ("missing", f"s3://base/ lacks {NORM} of LlamaForCausalLM"),
        ("unexpected", "s3://base/ holds model.extra, which LlamaForCausalLM has no place for"),
        (
            "misshapen",
            f"s3://base/: {NORM} has the shape [129], but LlamaForCausalLM with this config.json needs [128]",
        ),
    ],
)
def test_tensors_that_do_not_fit_end_every_rank_before_any_weight_is_read(
    loaded: dict[str, list[Loaded]], base: str, message: str
) -> None:
    assert failures(loaded[base]) == {(Cause.ARTIFACT_MISMATCH, message)}
    assert {one.bytes_read for one in loaded[base]} == {0}


@pytest.mark.parametrize(
    ("base", "reason"),
    [
        ("mixtral", "it converts model.layers.0.block_sparse_moe.experts.0.w1.weight into "),
        ("qwen2-moe", "it converts model.layers.0.mlp.experts.0.down_proj.weight into "),
        ("headless", "it renames embed_tokens.weight to model.embed_tokens.weight of LlamaForCausalLM"),
    ],
)
def test_what_transformers_converts_is_loaded_by_it_and_one_line_says_why(
    loaded: dict[str, list[Loaded]], base: str, reason: str
) -> None:
    first, second = loaded[base]
    assert (first.failure, first.differences, second.differences) == (None, (), ())
    assert first.log.startswith(f"transformers loads s3://base/ from a whole local copy: {reason}"), first.log
    assert (first.log.count("\n"), second.log) == (1, "")

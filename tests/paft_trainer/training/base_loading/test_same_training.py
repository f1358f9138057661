"""Whole arms on a base that was read piece by piece, against arms on what transformers loads; and on a damaged one."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from tests.paft_trainer.launched_arms import Attempt
from tests.paft_trainer.training.base_loading.changed_checkpoint import damage
from tests.ranks import outcome_of, run_case, run_on_ranks
from tests.run_specs import arm_run_spec, write_sums
from tests.tiny_models import build_checkpoint

from paft_api.causes import CAUSE_FACTS, Cause
from paft_api.run_spec import RunSpec
from paft_trainer.base.index import index_base
from paft_trainer.base.kept_index import read_pieces
from paft_trainer.launching.arm_launcher import prepare_base
from paft_trainer.storage.file_store import FileStore, path_of, uri_of

pytestmark = pytest.mark.slow

STEPS = 4
WAYS = ("ours", "stock")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Base and data."""
    folder = tmp_path_factory.mktemp("training")
    build_checkpoint(folder / "base", "llama", tied=True, hidden_size=128)
    write_sums(folder)
    return folder


@pytest.mark.parametrize("ranks", [1, 2])
def test_an_arm_trains_to_the_last_bit_as_on_a_base_that_transformers_loaded(root: Path, ranks: int) -> None:
    run_specs = [
        arm_run_spec(
            "sft",
            base=root / "base",
            data=root / "chats.jsonl",
            artifacts=root / f"{way}-{ranks}",
            processes=ranks,
            training={"maxSteps": STEPS},
        )
        for way in WAYS
    ]
    payload = [(run_spec.to_json(), str(prepare_base(run_spec, FileStore()))) for run_spec in run_specs]
    directory = root / f"ranks-{ranks}"
    directory.mkdir()
    run_on_ranks(train_both_ways, payload, ranks=ranks, directory=directory, launched=ranks > 1)
    ours, stock = (outcome_of(entry) for entry in json.loads((directory / "outcomes.json").read_text()))
    assert len(ours.losses) == STEPS
    assert ours.losses == stock.losses
    assert ours.last.adapter is not None
    assert stock.last.adapter is not None
    assert ours.last.adapter.artifact.digest == stock.last.adapter.artifact.digest


def train_both_ways(payload: list[tuple[str, str]], directory: Path) -> None:
    """On a rank: first as the product does, then with another way to load."""
    from paft_trainer.training import sft
    from paft_trainer.training.rank import arm_run, join_world

    rank = int(os.environ.get("RANK", "0"))
    partitioned = join_world(arm_run(RunSpec.model_validate_json(payload[0][0])))
    outcomes = []
    for load, (text, base) in zip((sft.load_base_model, load_stock), payload, strict=True):
        sft.load_base_model = load
        outcomes.append(run_case(rank, text, base, None, partitioned=partitioned))
    if rank == 0:
        (directory / "outcomes.json").write_text(json.dumps(outcomes))


def load_stock(session: Any, folder: Path) -> Any:
    """As transformers does by itself."""
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(path_of(session.run_spec.base.uri), dtype=torch.float32)


def test_a_base_that_was_damaged_after_it_was_indexed_ends_the_arm_with_the_place(tmp_path: Path) -> None:
    base = build_checkpoint(tmp_path / "base", "llama", hidden_size=128)
    write_sums(tmp_path)
    attempt = Attempt(tmp_path, "damaged", 1)
    index = index_base(FileStore(), uri_of(base) + "/", attempt.artifacts)
    tensor = read_pieces(FileStore(), attempt.artifacts, index).tensors["model.layers.0.mlp.down_proj.weight"]
    damage(base / tensor.file, tensor.start + tensor.size - 1)

    assert attempt.start().end() == CAUSE_FACTS[Cause.ARTIFACT_MISMATCH].exit_code

    assert attempt.termination.cause == Cause.ARTIFACT_MISMATCH
    assert "wrong bytes" in attempt.termination.message
    assert f"(tensor {tensor.name}, its bytes " in attempt.termination.message
    assert attempt.ranks() == []

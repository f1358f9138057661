"""A training with each loss of DPO: as recorded, padded in one process and packed on two ranks, and against TRL."""

import hashlib
import json
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.paft_trainer.training.test_trajectories import ARMS, RECORDED, STEPS, case
from tests.plain_trl import plain_dpo_logs
from tests.ranks import Case, Outcome, run_cases
from tests.run_specs import write_sums
from tests.tiny_models import build_checkpoint

from paft_api.spec.preference import SMOOTHED
from paft_trainer.training.dpo_losses.terms import TERMS

pytestmark = pytest.mark.slow

SMOOTHING = {"labelSmoothing": 0.1}
LOSSES: dict[str, dict[str, Any]] = {
    f"dpo {name}": {"beta": 0.2, "losses": [{"type": name}]} | (SMOOTHING if name in SMOOTHED else {}) for name in TERMS
} | {
    "dpo every loss": {"losses": [{"type": name, "weight": 0.1} for name in TERMS]} | SMOOTHING,
    "dpo js_divergence": {"fDivergenceType": "js_divergence"},
}
"""Of DPO, by the names of their trajectories."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("losses")
    build_checkpoint(root / "base", "llama", tied=True)
    write_sums(root)
    return root


def loss_cases(folder: Path, *, processes: int, packing: bool) -> dict[str, Case]:
    """All losses of DPO, on one kept reference."""
    return {
        name: case(
            folder,
            "preference",
            "losses",
            processes=processes,
            packing=packing,
            dpo=dpo,
            stage_digest="sha256:" + hashlib.sha256(name.encode()).hexdigest(),
        )
        for name, dpo in LOSSES.items()
    }


def outcomes_on(folder: Path, processes: int) -> dict[str, Outcome]:
    cases = loss_cases(folder, processes=processes, packing=processes > 1)
    directory = folder / f"on-{processes}"
    directory.mkdir()
    return dict(zip(cases, run_cases(list(cases.values()), ranks=processes, directory=directory), strict=True))


@pytest.fixture(scope="module")
def outcomes(folder: Path) -> dict[int, dict[str, Outcome]]:
    """By the number of processes."""
    return {processes: outcomes_on(folder, processes) for processes in (1, 2)}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("ranks", [1, 2])
def test_trajectories_are_the_recorded_ones(loss: str, ranks: int, outcomes: dict[int, dict[str, Outcome]]) -> None:
    """The reference is found by all but the first."""
    outcome = outcomes[ranks][loss]
    passes = 2 if ranks == 1 else 1

    np.testing.assert_allclose(outcome.losses, json.loads(RECORDED.read_text())[loss], rtol=1e-5, atol=1e-4)
    assert loss == "dpo sigmoid" or outcome.forwards == STEPS * passes


def test_every_loss_has_a_trajectory_of_its_own() -> None:
    last_losses = {arm: losses[-1] for arm, losses in json.loads(RECORDED.read_text()).items()}

    assert last_losses.keys() == {*ARMS, *LOSSES}
    assert min(abs(one - other) for one, other in combinations(last_losses.values(), 2)) > 1e-3


def test_a_sum_of_all_losses_trains_as_with_trl(folder: Path, outcomes: dict[int, dict[str, Outcome]]) -> None:
    options = {"loss_type": list(TERMS), "loss_weights": [0.1] * len(TERMS), "label_smoothing": 0.1}
    theirs = plain_dpo_logs(folder / "base", folder / "pairs.jsonl", folder, steps=STEPS, options=options)

    for ranks in (1, 2):
        ours = outcomes[ranks]["dpo every loss"].losses
        np.testing.assert_allclose(ours, [logs["loss"] for logs in theirs], rtol=2e-6, atol=0)

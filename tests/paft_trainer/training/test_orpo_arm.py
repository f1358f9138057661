"""The ORPO arm beyond its losses: evaluations, checkpoints, resuming, early stopping and bf16, in one process."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.ranks import Case, Outcome, run_cases
from tests.run_specs import arm_run_spec, write_sums
from tests.tiny_models import build_checkpoint

from paft_api.report import ReportState
from paft_trainer.storage.file_store import path_of

pytestmark = pytest.mark.slow

STEPS = 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("orpo")
    build_checkpoint(root / "base", "llama", tied=True)
    _, pairs = write_sums(root)
    _write_uneven(pairs, root / "uneven.jsonl")
    return root


def _write_uneven(pairs: Path, target: Path) -> None:
    """Fewer pairs, whose chosen answers differ in length, so that a mean of means over passes is another number."""
    rows = [json.loads(line) for line in pairs.read_text().splitlines()[:6]]
    for number, row in enumerate(rows):
        row["chosen"][0]["content"] += " is what it is" * number
    target.write_text("".join(json.dumps(row) + "\n" for row in rows))


def case(
    folder: Path,
    name: str,
    *,
    rows: str = "pairs.jsonl",
    attempt: int = 1,
    stop_at: int | None = None,
    **training: Any,
) -> Case:
    run_spec = arm_run_spec(
        "preference",
        base=folder / "base",
        data=folder / rows,
        artifacts=folder / name,
        attempt=attempt,
        training={"maxSteps": STEPS, "evalSteps": 4} | training,
        orpo={"beta": 0.2},
        evaluation=folder / "uneven.jsonl",
    )
    return Case(run_spec=run_spec, stop_at=stop_at)


@pytest.fixture(scope="module")
def outcomes(folder: Path) -> dict[str, Outcome]:
    worse = {"learningRate": 0.5, "evalSteps": 1, "earlyStopping": {"patience": 2}, "lrScheduler": "constant"}
    cases = {
        "whole": case(folder, "whole"),
        "row by row": case(folder, "row-by-row", microBatchSize=1),
        "all at once": case(folder, "all-at-once", microBatchSize=4),
        "unmoved": case(
            folder, "unmoved", rows="uneven.jsonl", globalBatchSize=6, maxSteps=1, evalSteps=1, learningRate=1e-9
        ),
        "stopped": case(folder, "broken-off", stop_at=5),
        "resumed": case(folder, "broken-off", attempt=2),
        "ended": case(folder, "ended", maxSteps=40, **worse),
        "bf16": case(folder, "bf16", precision="bf16"),
    }
    directory = folder / "outcomes"
    directory.mkdir()
    return dict(zip(cases, run_cases(list(cases.values()), ranks=1, directory=directory), strict=True))


def adapter_bytes(outcome: Outcome) -> bytes:
    assert outcome.last.adapter is not None
    return (path_of(outcome.last.adapter.artifact.uri) / "adapter_model.safetensors").read_bytes()


def eval_loss(outcome: Outcome) -> float:
    assert outcome.last.adapter is not None
    assert outcome.last.adapter.eval_loss is not None
    return outcome.last.adapter.eval_loss


def test_a_resumed_arm_ends_bit_for_bit_as_an_unbroken_one(outcomes: dict[str, Outcome]) -> None:
    whole, stopped, resumed = (outcomes[name] for name in ("whole", "stopped", "resumed"))

    assert stopped.last.state is ReportState.STOPPED
    assert stopped.last.progress.checkpoint_step == resumed.last.progress.resumed_step == 5
    assert stopped.losses + resumed.losses[-3:] == whole.losses
    assert adapter_bytes(resumed) == adapter_bytes(whole)


def test_evaluations_are_the_same_in_any_number_of_passes(outcomes: dict[str, Outcome]) -> None:
    for name in ("row by row", "all at once"):
        assert eval_loss(outcomes[name]) == pytest.approx(eval_loss(outcomes["whole"]), abs=2e-5)


def test_an_evaluation_gives_the_loss_of_a_step_on_the_same_pairs(outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes["unmoved"]

    assert eval_loss(outcome) == pytest.approx(outcome.losses[0], rel=1e-5)


def test_early_stopping_ends_it_at_its_best(outcomes: dict[str, Outcome]) -> None:
    adapter = outcomes["ended"].last.adapter

    assert adapter is not None
    assert adapter.ended_step is not None
    assert adapter.ended_step < 40
    assert adapter.steps == adapter.best_step == adapter.ended_step - 2
    assert adapter.eval_loss == adapter.best_eval_loss


def test_it_learns_in_bf16_as_in_fp32(outcomes: dict[str, Outcome]) -> None:
    assert outcomes["bf16"].losses == pytest.approx(outcomes["whole"].losses, rel=0.02)
    assert outcomes["bf16"].last.progress.log_odds_ratio == pytest.approx(
        outcomes["whole"].last.progress.log_odds_ratio, abs=0.1
    )

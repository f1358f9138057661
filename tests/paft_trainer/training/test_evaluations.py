"""Early stopping and the best adapter: what evaluations decide, and that it is the same after a stop."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from tests.ranks import Case, Outcome, run_cases
from tests.run_specs import arm_run_spec, write_sums
from tests.tiny_models import build_checkpoint

from paft_api.report import ReportState
from paft_api.spec.training import EarlyStoppingSpec
from paft_trainer.keeping.saved_checkpoints import SavedCheckpoint, list_checkpoints, superseded
from paft_trainer.storage.file_store import FileStore, path_of, uri_of
from paft_trainer.training.checkpoints.checkpoint import load_checkpoint
from paft_trainer.training.evaluations import Evaluations

STEPS = 60
EVAL_STEPS = 4
PATIENCE = 2
STOP_AT = 17
"""After the best evaluation, and after one that was worse."""


def after(losses: list[float], **stopping: Any) -> Evaluations:
    """What evaluations at steps 10, 20, … come to."""
    evaluations = Evaluations()
    for index, loss in enumerate(losses, start=1):
        if evaluations.ended_step is None:
            evaluations.take_in(10 * index, loss, EarlyStoppingSpec(**stopping) if stopping else None)
    return evaluations


@pytest.mark.parametrize(
    ("losses", "stopping", "best", "ended"),
    [
        ([3.0, 2.0, 2.5, 2.4, 1.0], {}, 50, None),
        ([3.0, 2.0, 2.5, 2.4, 1.0], {"patience": 2}, 20, 40),
        ([3.0, 2.0, 2.5, 1.9, 2.4, 2.3], {"patience": 2}, 40, 60),
        ([3.0, 3.0], {"patience": 1}, 10, 20),
        # Each lower than the one before, but not by enough since the last that counted.
        ([3.0, 2.9, 2.8], {"patience": 2, "min_delta": 0.5}, 30, 30),
        ([3.0, 2.75, 2.25, 2.0], {"patience": 2, "min_delta": 0.5}, 40, None),
    ],
)
def test_what_evaluations_come_to(losses: list[float], stopping: dict[str, Any], best: int, ended: int | None) -> None:
    evaluations = after(losses, **stopping)
    assert (evaluations.best_step, evaluations.ended_step) == (best, ended)


@given(losses=st.lists(st.sampled_from([1.0, 1.5, 2.0, 3.0]), min_size=1, max_size=12), cut=st.integers(0, 12))
def test_a_checkpoint_in_between_changes_nothing(losses: list[float], cut: int) -> None:
    whole, parts = Evaluations(), Evaluations()
    stopping = EarlyStoppingSpec(patience=2, min_delta=0.25)
    for step, loss in enumerate(losses):
        whole.take_in(step, loss, stopping)
        parts.take_in(step, loss, stopping)
        if step == cut:
            parts = Evaluations(**json.loads(json.dumps(parts.to_document())))
    assert parts == whole


def test_of_equal_losses_the_first_is_best_and_stays() -> None:
    saved = [
        SavedCheckpoint(folder=f"step-{step}/", step=step, eval_loss=loss, sha256_by_name={})
        for step, loss in ((10, 1.0), (20, 1.0), (30, 2.0))
    ]

    assert after([1.0, 1.0, 2.0]).best_step == 10
    assert [one.step for one in superseded(saved, last=1, best=1)] == [20]


def case(root: Path, name: str, attempt: int = 1, *, stop_at: int | None = None, **training: Any) -> Case:
    """The SFT arm on few rows with a large learning rate, evaluated on others."""
    settings = {"maxSteps": STEPS, "evalSteps": EVAL_STEPS, "learningRate": 0.01, "lrScheduler": "constant"}
    run_spec = arm_run_spec(
        "sft",
        base=root / "base",
        data=root / "few.jsonl",
        evaluation=root / "chats.jsonl",
        artifacts=root / name,
        processes=2,
        attempt=attempt,
        training=settings | training,
        l1={"mode": "none"},
    )
    return Case(run_spec=run_spec, stop_at=stop_at)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    root = tmp_path_factory.mktemp("evaluations")
    build_checkpoint(root / "base", "llama", tied=True)
    chats, _ = write_sums(root, rows=16)
    lines = chats.read_text().splitlines(keepends=True)
    (root / "few.jsonl").write_text("".join(lines[:4]))
    chats.write_text("".join(lines[8:]))
    stopping = {"earlyStopping": {"patience": PATIENCE}, "keep": {"last": 1, "best": 1}}
    cases = {
        "unbroken": case(root, "unbroken", **stopping),
        "stopped": case(root, "broken", stop_at=STOP_AT, **stopping),
        "resumed": case(root, "broken", 2, **stopping),
        "again": case(root, "broken", 3, **stopping),
        "last": case(root, "last", earlyStopping={"patience": 1}, publish="last"),
    }
    directory = root / "ranks"
    directory.mkdir()
    return dict(zip(cases, run_cases(list(cases.values()), ranks=2, directory=directory), strict=True))


def eval_losses(outcome: Outcome) -> dict[int, float]:
    """By step."""
    losses: dict[int, float] = {}
    for progress in (report.progress for report in outcome.reports):
        if progress.eval_loss is not None and progress.step is not None and progress.eval_loss not in losses.values():
            losses[progress.step] = progress.eval_loss
    return losses


@pytest.mark.slow
def test_training_that_overfits_ends_early_and_publishes_its_best_adapter(outcomes: dict[str, Outcome]) -> None:
    whole = outcomes["unbroken"]
    losses = eval_losses(whole)
    best = min(losses, key=lambda step: losses[step])
    end = best + PATIENCE * EVAL_STEPS

    result = whole.last.adapter
    assert result is not None
    assert len(whole.losses) == end < STEPS
    assert whole.losses[-1] < whole.losses[best - 1], "it learns the rows that it trains on, and those only"
    assert (result.steps, result.best_step, result.ended_step) == (best, best, end)
    assert result.eval_loss == result.best_eval_loss == whole.last.progress.best_eval_loss == losses[best]
    folder = path_of(result.artifact.uri)
    manifest = json.loads((folder / "paft_manifest.json").read_text())
    assert (
        manifest["metrics"] | {"bestStep": best, "endedStep": end, "bestEvalLoss": losses[best]} == manifest["metrics"]
    )
    kept = {saved.step: saved for saved in list_checkpoints(FileStore(), uri_of(folder) + "/attempts/")}
    assert sorted(kept) == [best, end]
    expected, other = (_weights(kept[step]) for step in (best, end))
    published = load_file(folder / "adapter_model.safetensors")
    assert all(torch.equal(tensor, expected[_own_name(name)]) for name, tensor in published.items())
    assert not all(torch.equal(tensor, other[_own_name(name)]) for name, tensor in published.items())


def _weights(saved: SavedCheckpoint) -> dict[str, torch.Tensor]:
    checkpoint = load_checkpoint(FileStore(), saved)
    assert checkpoint is not None
    return checkpoint.adapter.weights


def _own_name(name: str) -> str:
    """Under which a checkpoint has what PEFT's file has."""
    return name.replace(".weight", ".default.weight")


@pytest.mark.slow
def test_a_stop_in_between_ends_at_the_same_step_with_the_same_adapter(outcomes: dict[str, Outcome]) -> None:
    stopped, resumed, again, whole = (outcomes[name] for name in ("stopped", "resumed", "again", "unbroken"))
    assert whole.last.adapter is not None
    assert whole.last.adapter.best_step is not None
    assert stopped.last.state is ReportState.STOPPED
    # The best checkpoint is the first attempt's, and the resumed one knows that an evaluation was worse already.
    assert whole.last.adapter.best_step < STOP_AT == stopped.last.progress.step
    assert stopped.losses + resumed.losses[-len(whole.losses) + STOP_AT :] == whole.losses
    assert resumed.last.adapter is not None
    same = resumed.last.adapter.model_copy(
        update={
            "artifact": whole.last.adapter.artifact,
            "tokens_per_second": whole.last.adapter.tokens_per_second,
        }
    )
    assert same == whole.last.adapter
    assert resumed.last.adapter.artifact.digest == whole.last.adapter.artifact.digest
    # Whoever comes after the last checkpoint has nothing to train.
    assert again.losses == []
    assert again.last.adapter == resumed.last.adapter


@pytest.mark.slow
def test_the_last_adapter_is_published_where_it_is_asked_for(outcomes: dict[str, Outcome]) -> None:
    result = outcomes["last"].last.adapter
    assert result is not None
    losses = eval_losses(outcomes["last"])
    assert result.best_step == result.steps - EVAL_STEPS
    assert result.steps == result.ended_step == len(outcomes["last"].losses)
    assert result.eval_loss == losses[result.steps] > losses[result.best_step] == result.best_eval_loss

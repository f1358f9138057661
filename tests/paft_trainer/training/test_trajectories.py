"""Whole trainings of both arms, step by step: recorded, packed and padded, on one and two ranks, and against TRL."""

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.plain_trl import plain_dpo_logs, plain_orpo_logs
from tests.ranks import Case, Outcome, run_cases
from tests.run_specs import arm_run_spec, write_sums
from tests.tiny_models import build_checkpoint

from paft_api.report import ReportState
from paft_trainer.storage.file_store import path_of

pytestmark = pytest.mark.slow

RECORDED = Path(__file__).with_name("trajectories.json")
STEPS = 8
THREE = [{"type": "sigmoid", "weight": 1.0}, {"type": "hinge", "weight": 0.5}, {"type": "ipo", "weight": 0.1}]
THREE_LOSSES = {"beta": 0.2, "losses": THREE}
ORPO = {"beta": 0.3}
PENALTIES: dict[str, dict[str, Any]] = {
    "proximal": {"mode": "proximal", "lambda": 2e-3},
    "subgradient": {"mode": "subgradient", "lambda": 2e-3},
    "target": {"targetSparsity": 0.4},
    "rows": {"targetSparsity": 0.4, "granularity": "rows"},
}
"""Of SFT, by the names of their trajectories."""
ARMS = ["sft", *PENALTIES, "dpo", "orpo"]
"""What trains packed and padded on one and two ranks."""
LAYOUTS = {"packed": True, "padded": False}
REFERENCE_SHARDS = 2
"""Of the 32 of 48 pairs that all steps see."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("trajectories")
    build_checkpoint(root / "base", "llama", tied=True)
    write_sums(root)
    return root


def case(
    folder: Path,
    stage: str,
    name: str,
    *,
    processes: int,
    packing: bool = True,
    attempt: int = 1,
    stop_at: int | None = None,
    l1: dict[str, Any] | None = None,
    dpo: dict[str, Any] | None = None,
    orpo: dict[str, Any] | None = None,
    stage_digest: str | None = None,
) -> Case:
    run_spec = arm_run_spec(
        stage,
        base=folder / "base",
        data=folder / ("chats.jsonl" if stage == "sft" else "pairs.jsonl"),
        artifacts=folder / f"{name}-{processes}",
        processes=processes,
        attempt=attempt,
        training={"maxSteps": STEPS, "packing": packing},
        l1=l1,
        dpo=dpo,
        orpo=orpo,
        stage_digest=stage_digest,
    )
    return Case(run_spec=run_spec, stop_at=stop_at)


def cases_on(folder: Path, processes: int) -> dict[str, Case]:
    """Those that every number of ranks runs."""
    penalised = {
        f"{name} {layout}": case(folder, "sft", f"{name}-{layout}", processes=processes, packing=packing, l1=l1)
        for name, l1 in PENALTIES.items()
        for layout, packing in LAYOUTS.items()
    }
    return penalised | {
        "sft packed": case(folder, "sft", "sft-packed", processes=processes),
        "sft padded": case(folder, "sft", "sft-padded", processes=processes, packing=False),
        "dpo packed": case(folder, "preference", "dpo-packed", processes=processes),
        "dpo padded": case(folder, "preference", "dpo-padded", processes=processes, packing=False),
        "orpo packed": case(folder, "preference", "orpo-packed", processes=processes, orpo=ORPO),
        "orpo padded": case(folder, "preference", "orpo-padded", processes=processes, packing=False, orpo=ORPO),
        "dpo other": case(
            folder,
            "preference",
            "dpo-packed",
            processes=processes,
            attempt=2,
            dpo=THREE_LOSSES,
            stage_digest="sha256:" + "e" * 64,
        ),
    }


@pytest.fixture(scope="module")
def in_one_process(folder: Path) -> dict[str, Outcome]:
    stopped, resumed = (
        case(folder, "preference", "dpo-stopped", processes=1, attempt=attempt, stop_at=stop_at)
        for attempt, stop_at in ((1, 0), (2, None))
    )
    again = case(folder, "sft", "sft-again", processes=1)
    cases = cases_on(folder, 1) | {"again": again, "stopped": stopped, "resumed": resumed}
    directory = folder / "one"
    directory.mkdir()
    return dict(zip(cases, run_cases(list(cases.values()), ranks=1, directory=directory), strict=True))


@pytest.fixture(scope="module")
def on_two_ranks(folder: Path) -> dict[str, Outcome]:
    cases = cases_on(folder, 2)
    directory = folder / "two"
    directory.mkdir()
    return dict(zip(cases, run_cases(list(cases.values()), ranks=2, directory=directory), strict=True))


@pytest.fixture(scope="module")
def outcomes(in_one_process: dict[str, Outcome], on_two_ranks: dict[str, Outcome]) -> dict[str, Outcome]:
    one = {f"{name} on 1": outcome for name, outcome in in_one_process.items()}
    return one | {f"{name} on 2": outcome for name, outcome in on_two_ranks.items()}


@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize("configuration", ["packed on 1", "padded on 1", "packed on 2", "padded on 2"])
def test_trajectories_are_the_recorded_ones(arm: str, configuration: str, outcomes: dict[str, Outcome]) -> None:
    losses = outcomes[f"{arm} {configuration}"].losses
    recorded = json.loads(RECORDED.read_text())[arm]

    assert len(losses) == STEPS
    np.testing.assert_allclose(losses, recorded, rtol=0, atol=1e-4)


def test_every_penalty_has_a_trajectory_of_its_own() -> None:
    recorded = json.loads(RECORDED.read_text())
    last_losses = {arm: recorded[arm][-1] for arm in ARMS}

    assert min(abs(one - other) for one, other in combinations(last_losses.values(), 2)) > 1e-3


@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize("ranks", [1, 2])
def test_packed_and_padded_rows_give_the_same_losses(arm: str, ranks: int, outcomes: dict[str, Outcome]) -> None:
    packed, padded = (outcomes[f"{arm} {layout} on {ranks}"].losses for layout in ("packed", "padded"))

    np.testing.assert_allclose(packed, padded, rtol=0, atol=1e-5)


def test_equal_configurations_give_equal_bits(in_one_process: dict[str, Outcome]) -> None:
    first, again = (in_one_process[name] for name in ("sft packed", "again"))

    assert first.losses == again.losses
    assert _adapter_file(first).read_bytes() == _adapter_file(again).read_bytes()


@pytest.mark.parametrize(
    ("case_name", "dpo"),
    [
        ("dpo packed", {"beta": 0.1, "losses": THREE[:1]}),
        ("dpo other", THREE_LOSSES),
    ],
)
def test_a_kept_reference_gives_the_losses_of_one_that_is_computed_in_every_step(
    case_name: str, dpo: dict[str, Any], folder: Path, outcomes: dict[str, Outcome]
) -> None:
    options = {
        "beta": dpo["beta"],
        "loss_type": [loss["type"] for loss in dpo["losses"]],
        "loss_weights": [loss["weight"] for loss in dpo["losses"]],
    }
    online = plain_dpo_logs(folder / "base", folder / "pairs.jsonl", folder, steps=STEPS, options=options)

    for ranks in (1, 2):
        losses = outcomes[f"{case_name} on {ranks}"].losses
        np.testing.assert_allclose(losses, [logs["loss"] for logs in online], rtol=0, atol=5e-6)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_orpo_trains_as_trl_does(layout: str, folder: Path, outcomes: dict[str, Outcome]) -> None:
    theirs = plain_orpo_logs(folder / "base", folder / "pairs.jsonl", folder, steps=STEPS, options=ORPO)

    for ranks in (1, 2):
        outcome = outcomes[f"orpo {layout} on {ranks}"]
        np.testing.assert_allclose(outcome.losses, [logs["loss"] for logs in theirs], rtol=0, atol=2e-5)
        told = {report.progress.step: report.progress for report in outcome.reports}
        for step, logs in enumerate(theirs, start=1):
            assert told[step].reward_margin == pytest.approx(logs["rewards/margins"], abs=1e-5)
            assert told[step].reward_accuracy == pytest.approx(logs["rewards/accuracies"])
            assert told[step].log_odds_ratio == pytest.approx(logs["log_odds_chosen"], abs=1e-4)


def test_orpo_has_no_reference(folder: Path, outcomes: dict[str, Outcome]) -> None:
    assert outcomes["orpo packed on 1"].forwards == STEPS
    assert not list((folder / "orpo-packed-1").rglob("*.reference"))


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_later_job_with_another_beta_never_runs_the_reference(ranks: int, outcomes: dict[str, Outcome]) -> None:
    first, later = (outcomes[f"{name} on {ranks}"] for name in ("dpo packed", "dpo other"))

    # All pairs of a step fit into one forward pass, and so do those of a shard into a few.
    assert later.forwards == STEPS
    assert first.forwards >= STEPS + REFERENCE_SHARDS // ranks


def test_an_arm_that_was_stopped_in_the_reference_pass_continues_it(
    folder: Path, in_one_process: dict[str, Outcome]
) -> None:
    whole, stopped, resumed = (in_one_process[name] for name in ("dpo packed", "stopped", "resumed"))

    assert stopped.last.state is ReportState.STOPPED
    assert stopped.losses == []
    assert 0 < stopped.forwards < whole.forwards - STEPS
    assert stopped.forwards + resumed.forwards == whole.forwards
    assert resumed.losses == whole.losses
    assert len(list((folder / "dpo-stopped-1" / "index").glob("*.reference/rows-*.safetensors"))) == REFERENCE_SHARDS


def _adapter_file(outcome: Outcome) -> Path:
    assert outcome.last.adapter is not None
    return path_of(outcome.last.adapter.artifact.uri) / "adapter_model.safetensors"

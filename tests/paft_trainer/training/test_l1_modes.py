"""The modes of the penalty on real ranks: the same in one process and under ZeRO-3, and after resumes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file
from tests.ranks import Case, Outcome, run_cases
from tests.run_specs import arm_run_spec, write_sums
from tests.tiny_models import build_checkpoint

from paft_api.layout import ADAPTER_MANIFEST_FILE
from paft_api.report import Sparsity
from paft_trainer.storage.file_store import path_of

pytestmark = pytest.mark.slow

MODES: dict[str, tuple[dict[str, object], int]] = {
    "subgradient": ({"mode": "subgradient", "lambda": 2e-3}, 8),
    "target": ({"targetSparsity": 0.4}, 16),
    "rows": ({"targetSparsity": 0.4, "granularity": "rows"}, 12),
    "rows at one strength": ({"lambda": 2e-3, "granularity": "rows"}, 8),
}
"""Penalty and number of steps."""
PASSES = {1: {"microBatchSize": 2}, 2: {"microBatchSize": 1}, 3: {"microBatchSize": 2}}
"""By ranks: three backward passes in each step, three, and one."""
SUB_GROUPS = {"zero_optimization": {"sub_group_size": 300}}
"""DeepSpeed steps its optimizer once for each, and some hold no whole matrix."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("modes")
    build_checkpoint(root / "base", "llama", tied=True)
    write_sums(root)
    return root


def case(
    folder: Path,
    name: str,
    l1: dict[str, object],
    *,
    ranks: int,
    attempt: int = 1,
    stop_at: int | None = None,
    **training: Any,
) -> Case:
    run_spec = arm_run_spec(
        "sft",
        base=folder / "base",
        data=folder / "chats.jsonl",
        artifacts=folder / name,
        processes=ranks,
        attempt=attempt,
        training={"globalBatchSize": 6, "learningRate": 2e-2} | PASSES[ranks] | training,
        l1=l1,
    )
    return Case(run_spec=run_spec, stop_at=stop_at)


def run(folder: Path, cases: dict[str, Case], ranks: int) -> dict[str, Outcome]:
    directory = folder / f"ranks-{ranks}"
    directory.mkdir()
    return dict(zip(cases, run_cases(list(cases.values()), ranks=ranks, directory=directory), strict=True))


def modes(folder: Path, *, ranks: int, **training: Any) -> dict[str, Case]:
    return {
        mode: case(folder, f"{mode}-{ranks}", l1, ranks=ranks, maxSteps=steps, **training)
        for mode, (l1, steps) in MODES.items()
    }


@pytest.fixture(scope="module")
def in_one_process(folder: Path) -> dict[str, Outcome]:
    target, steps = MODES["target"]
    full_reach = {
        "maxSteps": 40,
        "microBatchSize": 6,
        "learningRate": 3e-2,
        "lrScheduler": "constant_with_warmup",
        "warmupRatio": 0.1,
    }
    cases = modes(folder, ranks=1, evalSteps=4) | {
        "plain": case(folder, "plain", {"mode": "none"}, ranks=1, maxSteps=8),
        "nine tenths": case(folder, "nine-tenths", {"targetSparsity": 0.9}, ranks=1, **full_reach),
        "out of reach": case(folder, "out-of-reach", {"targetSparsity": 0.9}, ranks=1, maxSteps=4),
        "stopped": case(folder, "broken-off", target, ranks=1, maxSteps=steps, evalSteps=4, stop_at=7),
        "resumed": case(folder, "broken-off", target, ranks=1, maxSteps=steps, evalSteps=4, attempt=2),
        "moved": case(folder, "moved", target, ranks=1, maxSteps=steps, stop_at=7),
    }
    return run(folder, cases, 1)


@pytest.fixture(scope="module")
def on_two_ranks(folder: Path, in_one_process: dict[str, Outcome]) -> dict[str, Outcome]:
    target, steps = MODES["target"]
    moved = case(folder, "moved", target, ranks=2, maxSteps=steps, attempt=2)
    return run(folder, modes(folder, ranks=2, deepspeed=SUB_GROUPS) | {"moved": moved}, 2)


@pytest.fixture(scope="module")
def on_three_ranks(folder: Path) -> dict[str, Outcome]:
    return run(folder, modes(folder, ranks=3), 3)


def sparsity(outcome: Outcome) -> Sparsity:
    assert outcome.last.adapter is not None
    assert outcome.last.adapter.sparsity is not None
    return outcome.last.adapter.sparsity


def adapter_folder(outcome: Outcome) -> Path:
    assert outcome.last.adapter is not None
    return path_of(outcome.last.adapter.artifact.uri)


def adapter_bytes(outcome: Outcome) -> bytes:
    return (adapter_folder(outcome) / "adapter_model.safetensors").read_bytes()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("world", ["on_two_ranks", "on_three_ranks"])
def test_zero3_penalises_as_one_process_does(
    mode: str, world: str, in_one_process: dict[str, Outcome], request: pytest.FixtureRequest
) -> None:
    partitioned, whole = request.getfixturevalue(world)[mode], in_one_process[mode]
    np.testing.assert_allclose(partitioned.losses, whole.losses, rtol=0, atol=1e-4)
    ours, theirs = sparsity(partitioned), sparsity(whole)
    assert (ours.a_zero, ours.b_zero) == pytest.approx((theirs.a_zero, theirs.b_zero), abs=0.01)
    assert ours.delta_zero_rows == pytest.approx(theirs.delta_zero_rows, abs=0.01)
    assert ours.delta_norm == pytest.approx(theirs.delta_norm, rel=1e-3)
    assert partitioned.last.progress.penalty == pytest.approx(whole.last.progress.penalty, rel=1e-3)
    assert whole.last.progress.penalty > 0


def test_the_penalty_in_the_loss_is_not_zero_under_zero3(
    on_two_ranks: dict[str, Outcome], in_one_process: dict[str, Outcome]
) -> None:
    """Had it been, the arm would end as one without a penalty does."""
    penalised, plain = sparsity(on_two_ranks["subgradient"]), sparsity(in_one_process["plain"])
    assert penalised.delta_norm < 0.95 * plain.delta_norm
    assert (penalised.a_zero, penalised.b_zero) == (0, 0)


@pytest.mark.parametrize("world", ["in_one_process", "on_two_ranks", "on_three_ranks"])
def test_a_and_b_come_within_three_points_of_the_target(world: str, request: pytest.FixtureRequest) -> None:
    outcomes = request.getfixturevalue(world)
    elements, rows = sparsity(outcomes["target"]), sparsity(outcomes["rows"])
    assert (elements.a_zero, elements.b_zero) == pytest.approx((0.4, 0.4), abs=0.03)
    assert rows.delta_zero_rows == pytest.approx(0.4, abs=0.03)
    assert rows.b_zero == pytest.approx(rows.delta_zero_rows)


def test_a_tiny_adapter_with_full_reach_becomes_nine_tenths_zero_and_still_learns(
    in_one_process: dict[str, Outcome],
) -> None:
    outcome = in_one_process["nine tenths"]
    measured = sparsity(outcome)
    assert (measured.a_zero, measured.b_zero) == pytest.approx((0.9, 0.9), abs=0.03)
    assert measured.delta_norm > 0
    assert outcome.losses[-1] < outcome.losses[0] - 0.5
    assert outcome.last.adapter is not None
    assert outcome.last.adapter.warnings == ()


def test_a_target_out_of_reach_is_lowered_for_a_with_a_warning(in_one_process: dict[str, Outcome]) -> None:
    outcome = in_one_process["out of reach"]
    assert outcome.failure is None
    assert outcome.last.adapter is not None
    lowered, *_ = warnings = outcome.last.adapter.warnings
    assert lowered.startswith("sft.l1.targetSparsity 0.9 is out of reach for A: ")
    assert outcome.last.progress.warnings == warnings


def test_a_factor_that_ends_short_of_its_target_is_told(in_one_process: dict[str, Outcome]) -> None:
    """In four steps B cannot come to 0.9 either, which no formula tells before."""
    outcome = in_one_process["out of reach"]
    share = sparsity(outcome).b_zero
    assert share < 0.87
    assert outcome.last.adapter is not None
    told = outcome.last.adapter.warnings[-1]
    assert told.startswith(f"sft.l1.targetSparsity: B was steered to 0.9 and ended at {share:.3g}: ")


def test_a_resumed_arm_is_steered_on_bit_for_bit(in_one_process: dict[str, Outcome]) -> None:
    stopped, resumed, unbroken = (in_one_process[name] for name in ("stopped", "resumed", "target"))
    assert stopped.last.progress.checkpoint_step == resumed.last.progress.resumed_step == 7
    assert stopped.losses + resumed.losses[-9:] == unbroken.losses
    assert adapter_bytes(resumed) == adapter_bytes(unbroken)
    assert history(resumed) == history(unbroken)


def test_an_arm_that_resumes_at_another_number_of_ranks_is_steered_on(
    on_two_ranks: dict[str, Outcome], in_one_process: dict[str, Outcome]
) -> None:
    moved, unbroken = on_two_ranks["moved"], in_one_process["target"]
    assert moved.last.progress.resumed_step == 7
    np.testing.assert_allclose(moved.losses[-9:], unbroken.losses[-9:], rtol=0, atol=1e-4)
    assert sparsity(moved).b_zero == pytest.approx(sparsity(unbroken).b_zero, abs=0.01)


def history(outcome: Outcome) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((adapter_folder(outcome) / ADAPTER_MANIFEST_FILE).read_text())
    found: dict[str, Any] = manifest["sparsity"]
    return found


def test_the_adapters_manifest_tells_each_modules_sparsity_over_time(in_one_process: dict[str, Outcome]) -> None:
    outcome = in_one_process["target"]
    told = history(outcome)
    tensors = load_file(adapter_folder(outcome) / "adapter_model.safetensors")
    assert [point["step"] for point in told["points"]] == [4, 8, 12, 16]
    for name, share in zip(told["modules"], told["points"][-1]["bZero"], strict=True):
        assert share == pytest.approx(float((tensors[f"{name}.lora_B.weight"] == 0).float().mean()), abs=1e-4)

"""Both arms on real ranks: ZeRO-3 against one process, the penalty, resuming, and the guards."""

from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from tests.ranks import Case, Outcome, run_cases
from tests.run_specs import arm_run_spec, write_sums
from tests.tiny_models import build_checkpoint
from transformers import AutoModelForCausalLM

from paft_api.causes import Cause
from paft_api.report import ReportState
from paft_trainer.storage.file_store import path_of

pytestmark = pytest.mark.slow

STEPS = 50
PROXIMAL = {"mode": "proximal", "lambda": 2e-3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("arms")
    build_checkpoint(root / "base", "llama", tied=True)
    build_checkpoint(root / "broken", "llama")
    weights = load_file(root / "broken" / "model.safetensors")
    weights["model.norm.weight"][0] = float("nan")
    save_file(weights, root / "broken" / "model.safetensors", metadata={"format": "pt"})
    write_sums(root)
    return root


def case(
    folder: Path,
    stage: str,
    name: str,
    *,
    processes: int,
    base: str = "base",
    attempt: int = 1,
    stop_at: int | None = None,
    training: dict[str, object] | None = None,
    l1: dict[str, object] | None = None,
) -> Case:
    data = folder / ("chats.jsonl" if stage == "sft" else "pairs.jsonl")
    run_spec = arm_run_spec(
        stage,
        base=folder / base,
        data=data,
        artifacts=folder / f"{name}-{processes}",
        processes=processes,
        attempt=attempt,
        training=training,
        l1=l1 if l1 is not None or stage != "sft" else PROXIMAL,
    )
    return Case(run_spec=run_spec, stop_at=stop_at)


@pytest.fixture(scope="module")
def on_two_ranks(folder: Path) -> dict[str, Outcome]:
    steps, short = {"maxSteps": STEPS}, {"maxSteps": 12, "saveSteps": 5}
    cases = {
        "sft": case(folder, "sft", "sft", processes=2, training=steps),
        "plain": case(folder, "sft", "plain", processes=2, training={"maxSteps": 15}, l1={"mode": "none"}),
        "dpo": case(folder, "preference", "dpo", processes=2, training=steps),
        "unbroken": case(folder, "sft", "unbroken", processes=2, training=short),
        "stopped": case(folder, "sft", "broken-off", processes=2, training=short, stop_at=7),
        "resumed": case(folder, "sft", "broken-off", processes=2, training=short, attempt=2),
    }
    directory = folder / "two-ranks"
    directory.mkdir()
    return dict(zip(cases, run_cases(list(cases.values()), ranks=2, directory=directory), strict=True))


@pytest.fixture(scope="module")
def in_one_process(folder: Path) -> dict[str, Outcome]:
    steps = {"maxSteps": STEPS}
    cases = {
        "sft": case(folder, "sft", "sft", processes=1, training=steps),
        "dpo": case(folder, "preference", "dpo", processes=1, training=steps),
        "first": case(folder, "sft", "first", processes=1, training={"maxSteps": 2, "learningRate": 1e-3}),
        "collapsed": case(
            folder,
            "sft",
            "collapsed",
            processes=1,
            # Every gradient is clipped to nothing, so B stays at zero while training goes on.
            training={"maxSteps": 20, "evalSteps": 5, "maxGradNorm": 1e-46},
        ),
        "nan": case(folder, "sft", "nan", processes=1, base="broken", training={"maxSteps": 3}),
        "finished": case(folder, "sft", "sft", processes=1, attempt=2, training=steps),
    }
    directory = folder / "one-process"
    directory.mkdir()
    return dict(zip(cases, run_cases(list(cases.values()), ranks=1, directory=directory), strict=True))


def adapter_file(outcome: Outcome) -> Path:
    assert outcome.last.adapter is not None
    return path_of(outcome.last.adapter.artifact.uri) / "adapter_model.safetensors"


def share_of_zeros(path: Path, factor: str) -> float:
    tensors = [tensor for name, tensor in load_file(path).items() if factor in name]
    return sum(int((tensor == 0).sum()) for tensor in tensors) / sum(tensor.numel() for tensor in tensors)


@pytest.mark.parametrize("arm", ["sft", "dpo"])
def test_two_zero3_ranks_train_as_one_process_does(
    arm: str, on_two_ranks: dict[str, Outcome], in_one_process: dict[str, Outcome]
) -> None:
    partitioned, whole = on_two_ranks[arm].losses, in_one_process[arm].losses
    assert len(partitioned) == len(whole) == STEPS
    np.testing.assert_allclose(partitioned, whole, rtol=0, atol=1e-4)
    assert whole[-1] < whole[0] - 0.005


def test_the_penalty_acts_under_zero3_and_exact_zeros_reach_the_saved_adapter(
    on_two_ranks: dict[str, Outcome], in_one_process: dict[str, Outcome]
) -> None:
    sparse, plain = adapter_file(on_two_ranks["sft"]), adapter_file(on_two_ranks["plain"])
    assert share_of_zeros(plain, "lora_B") == 0
    assert share_of_zeros(sparse, "lora_B") > 0.2
    assert share_of_zeros(sparse, "lora_B") == pytest.approx(
        share_of_zeros(adapter_file(in_one_process["sft"]), "lora_B"), abs=0.01
    )
    result = on_two_ranks["sft"].last.adapter
    assert result is not None
    assert result.sparsity is not None
    assert result.sparsity.b_zero == pytest.approx(share_of_zeros(sparse, "lora_B"))
    assert result.sparsity.delta_norm > 0


def test_the_initialisation_of_a_survives_the_first_steps(in_one_process: dict[str, Outcome]) -> None:
    assert share_of_zeros(adapter_file(in_one_process["first"]), "lora_A") < 0.02


def test_dpo_starts_at_the_reference_and_reports_margins(on_two_ranks: dict[str, Outcome]) -> None:
    result = on_two_ranks["dpo"].last.adapter
    assert result is not None
    assert result.first_loss == pytest.approx(np.log(2), abs=1e-4)
    assert result.first_reward_margin == pytest.approx(0, abs=1e-5)
    assert result.last_reward_margin is not None
    assert result.last_reward_margin > 0


def test_a_stopped_arm_saves_and_a_resumed_one_ends_bit_for_bit_as_an_unbroken_one(
    on_two_ranks: dict[str, Outcome],
) -> None:
    stopped, resumed, unbroken = (on_two_ranks[name] for name in ("stopped", "resumed", "unbroken"))
    assert stopped.last.state is ReportState.STOPPED
    assert stopped.last.progress.step == stopped.last.progress.checkpoint_step == 7
    assert resumed.last.progress.resumed_step == 7
    assert stopped.losses + resumed.losses[-5:] == unbroken.losses
    assert adapter_file(resumed).read_bytes() == adapter_file(unbroken).read_bytes()
    assert resumed.last.adapter is not None
    assert unbroken.last.adapter is not None
    assert resumed.last.adapter.first_loss == unbroken.last.adapter.first_loss


def test_an_attempt_after_the_last_checkpoint_publishes_without_training(in_one_process: dict[str, Outcome]) -> None:
    again = in_one_process["finished"]
    assert again.losses == []
    assert again.last.adapter == in_one_process["sft"].last.adapter


def test_an_adapter_without_effect_is_a_failure_and_not_a_sparse_one(in_one_process: dict[str, Outcome]) -> None:
    assert in_one_process["collapsed"].failure == (Cause.COLLAPSED, "ΔW is zero at step 5 of 20")


def test_a_loss_that_is_not_finite_ends_training_before_a_step(in_one_process: dict[str, Outcome]) -> None:
    assert in_one_process["nan"].failure == (Cause.DIVERGED, "the loss at step 1 is nan")


def test_stock_peft_loads_the_adapter(folder: Path, on_two_ranks: dict[str, Outcome]) -> None:
    base = AutoModelForCausalLM.from_pretrained(folder / "base", dtype=torch.float32)
    tokens = torch.arange(8)[None]
    before = base(tokens).logits
    model = PeftModel.from_pretrained(base, str(adapter_file(on_two_ranks["sft"]).parent))
    assert not torch.allclose(model(tokens).logits, before)
    with model.disable_adapter():
        assert torch.equal(model(tokens).logits, before)

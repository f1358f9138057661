"""`python -m benchmarks.one_process CASES RESULTS`: the arm in one process without a launcher, and its peers.

The peers are the same trainer with one thing changed: the penalty in the loss instead of the proximal step, or the
proximal step without its guards.
"""

import json
import sys
from collections.abc import Callable, Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any

import torch
from benchmarks.arm_outcomes import ArmRun, Untrained
from benchmarks.arm_runs import Method

from paft_api.run_spec import RunSpec
from paft_trainer.launching.arm_launcher import prepare_base
from paft_trainer.launching.heartbeats import Heartbeat
from paft_trainer.reporting import Reporter
from paft_trainer.storage import open_run_store
from paft_trainer.training.adapter_state import adapter_parameters
from paft_trainer.training.arm_session import ArmSession
from paft_trainer.training.proximal_adamw import ProximalAdamW, soft_threshold_
from paft_trainer.training.rank import join_world, quiet_libraries
from paft_trainer.training.sampling import EpochSampler
from paft_trainer.training.sft import SftArmTrainer, build_sft_trainer
from paft_trainer.training.stop_signal import StopSignal


def main(cases: Path, results: Path) -> None:
    """Run all that `cases` asks for."""
    quiet_libraries()
    asked = json.loads(cases.read_text(encoding="utf-8"))
    answer = {
        "untrained": measure_untrained(_run_spec(asked["untrained"])).to_document(),
        "cases": {
            name: train(_run_spec(case["runSpec"]), Method(case["method"])).to_document()
            for name, case in asked["cases"].items()
        },
    }
    results.write_text(json.dumps(answer), encoding="utf-8")


def measure_untrained(run_spec: RunSpec) -> Untrained:
    """The loss before the first step, and the tokens that all steps will see."""
    trainer = _build(run_spec)
    training = trainer.session.arm.training
    lengths = [len(tokens) for tokens in trainer.train_dataset["input_ids"]]
    sampler = EpochSampler(rows=len(lengths), global_batch_size=training.global_batch_size, seed=training.seed)
    used = islice(_rows(sampler), trainer.session.total_steps * training.global_batch_size)
    return Untrained(eval_loss=trainer.evaluate()["eval_loss"], tokens=sum(lengths[row] for row in used))


def train(run_spec: RunSpec, method: Method) -> ArmRun:
    """Train by `method` and measure as the arm itself does."""
    trainer = _build(run_spec)
    assert run_spec.sft is not None
    strength = run_spec.sft.spec.l1.strength
    match method:
        case Method.SUBGRADIENT:
            trainer.optimizer_cls_and_kwargs[1]["l1_strength"] = 0.0
            trainer.compute_loss = _penalised(trainer, trainer.compute_loss, strength)
        case Method.UNGUARDED:
            trainer.optimizer_cls_and_kwargs = (UnguardedAdamW, trainer.optimizer_cls_and_kwargs[1])
    trainer.train()
    progress = trainer.session.reporter.progress
    return ArmRun(
        eval_loss=progress.eval_loss, sparsity=progress.sparsity, tokens_per_second=progress.tokens_per_second
    )


class UnguardedAdamW(ProximalAdamW):
    """The threshold lr·λ/(√v̂+ε) as it stands in the paper on ProxGen, from step 1 and for every weight."""

    def _shrink(self, parameter: torch.Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        corrected = state["exp_avg_sq"] / (1 - group["betas"][1] ** float(state["step"]))
        soft_threshold_(parameter, group["lr"] * self.l1_strength / (corrected.sqrt() + group["eps"]))


def _penalised(trainer: SftArmTrainer, compute_loss: Callable[..., Any], strength: float) -> Callable[..., Any]:
    """The loss plus λ·(‖A‖₁ + ‖B‖₁) while training; each of an optimizer step's passes adds its part."""

    def loss_with_penalty(model: Any, *args: Any, **kwargs: Any) -> Any:
        loss = compute_loss(model, *args, **kwargs)
        if not model.training:
            return loss
        penalty = sum(parameter.abs().sum() for _, parameter in adapter_parameters(model))
        return loss + strength * penalty / trainer.current_gradient_accumulation_steps

    return loss_with_penalty


def _build(run_spec: RunSpec) -> SftArmTrainer:
    assert run_spec.sft is not None
    session = ArmSession(
        run_spec=run_spec,
        arm=run_spec.sft.spec,
        world=run_spec.sft.world,
        store=open_run_store(run_spec),
        reporter=Reporter(run_spec.identity, None),
        stop_signal=StopSignal(),
        heartbeat=Heartbeat(Path(run_spec.scratch_directory), 0),
    )
    base = prepare_base(run_spec, session.store)
    partitioned = join_world(run_spec.sft, retry_window=run_spec.storage.retry_window)
    return build_sft_trainer(session, base, partitioned=partitioned)


def _rows(sampler: EpochSampler) -> Iterator[int]:
    for epoch in count():
        sampler.set_epoch(epoch)
        yield from sampler


def _run_spec(document: dict[str, Any]) -> RunSpec:
    return RunSpec.model_validate_json(json.dumps(document))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

"""The penalty of FactorAdamW: whole rows of B, or shares of zeros that A and B are each steered to."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from peft.tuners.lora import LoraLayer
from transformers import get_scheduler

from paft_api.report import Sparsity
from paft_api.spec.lora import LoraSpec
from paft_api.spec.sft import L1Spec
from paft_api.spec.training import TrainingSpec
from paft_trainer.training.adapter_factors import ADAPTER_NAME
from paft_trainer.training.factor_adamw import FactorAdamW, SparsityTarget
from paft_trainer.training.factor_partitions import whole_partitions, zero3_partitions
from paft_trainer.training.optimizers import adamw_options
from paft_trainer.training.parameter_groups import Factor, parameter_groups
from paft_trainer.training.proximal_adamw import ramp_at
from paft_trainer.training.sparsity import Factors, group_norm
from paft_trainer.training.sparsity_reach import reach_of_a, shrinkage

TOLERANCE = 0.03
"""How far below its target a share of zeros may end before it is told."""


class FactorPenalty:
    """Ties FactorAdamW to a trainer. `resumed`: what a checkpoint kept of it, by factor; empty for a new training."""

    def __init__(
        self,
        l1: L1Spec,
        training: TrainingSpec,
        model: torch.nn.Module,
        *,
        total_steps: int,
        resumed: Mapping[str, float],
    ) -> None:
        self._l1 = l1
        self._by_rows = l1.granularity == "rows"
        self._ramp_steps = l1.ramp * total_steps
        self._resumed = resumed
        self._optimizer: FactorAdamW | None = None
        self._target: SparsityTarget | None = None
        self.warnings: tuple[str, ...] = ()
        if l1.target_sparsity is not None:
            reach = _reach(training, model, total_steps=total_steps, ramp_steps=self._ramp_steps)
            shares = {Factor.A: min(l1.target_sparsity, reach), Factor.B: l1.target_sparsity}
            self._target = SparsityTarget(shares=shares, ramp_steps=self._ramp_steps)
            self.warnings = _warnings(l1.target_sparsity, reach)

    def optimizer(
        self, model: torch.nn.Module, training: TrainingSpec, lora: LoraSpec
    ) -> tuple[type[FactorAdamW], dict[str, Any]]:
        """Class and keyword arguments, as the Trainer takes them."""
        return FactorAdamW, {
            "params": parameter_groups(model, training, lora),
            **adamw_options(training),
            "l1_strength": self._l1.strength or 0.0,
            "l1_ramp_steps": self._ramp_steps,
        }

    def begin(self, trainer: Any) -> None:
        """Tell the optimizer what its tensors hold, and how strong its penalty was."""
        if trainer.is_deepspeed_enabled:
            zero_optimizer = trainer.model_wrapped.optimizer
            self._optimizer = zero_optimizer.optimizer
            partitions = zero3_partitions(zero_optimizer, by_rows=self._by_rows)
        else:
            self._optimizer = trainer.optimizer.optimizer
            partitions = whole_partitions(self._optimizer, by_rows=self._by_rows)
        self._optimizer.attach(partitions, self._target, trainer.args.device)
        for name, strength in self._resumed.items():
            self._optimizer.strengths[Factor(name)].fill_(strength)

    def end_step(self, step: int) -> None:
        """Steer."""
        assert self._optimizer is not None
        self._optimizer.steer(step)

    def value(self, factors: Sequence[Factors], step: int) -> float:
        """λ_A·‖A‖₁ + λ_B·‖B‖₁, or √r·Σ‖row‖₂ in place of ‖B‖₁."""
        kept = self.to_document()
        constant = (self._l1.strength or 0.0) * ramp_at(step, self._ramp_steps)
        strengths = [kept[factor] if kept else constant for factor in Factor]
        norms = [sum(float(module.a.abs().sum()) for module in factors), group_norm(factors, by_rows=self._by_rows)]
        return sum(strength * norm for strength, norm in zip(strengths, norms, strict=True))

    def missed(self, ended: Sparsity) -> tuple[str, ...]:
        """Of A and B, which ends more than TOLERANCE short of what it was steered to."""
        if self._target is None:
            return ()
        shares = {Factor.A: ended.a_zero, Factor.B: ended.b_zero}
        if self._by_rows:
            assert ended.delta_zero_rows is not None
            shares[Factor.B] = ended.delta_zero_rows
        return tuple(
            _shortfall(factor, self._target.shares[factor], share)
            for factor, share in shares.items()
            if share < self._target.shares[factor] - TOLERANCE
        )

    def to_document(self) -> dict[str, Any]:
        """λ of the next step, by factor; nothing without a target."""
        if self._target is None:
            return {}
        if self._optimizer is None:
            return dict(self._resumed)
        return {factor.value: float(strength) for factor, strength in self._optimizer.strengths.items()}


def _reach(training: TrainingSpec, model: torch.nn.Module, *, total_steps: int, ramp_steps: float) -> float:
    schedule = get_scheduler(
        training.lr_scheduler,
        torch.optim.SGD([torch.zeros(1)], lr=1.0),
        num_warmup_steps=math.ceil(total_steps * training.warmup_ratio),
        num_training_steps=total_steps,
        scheduler_specific_kwargs=dict(training.lr_scheduler_kwargs),
    )
    shrunk = training.learning_rate * shrinkage(schedule.lr_lambdas[0], total_steps=total_steps, ramp_steps=ramp_steps)
    fan_ins = [(layer.in_features, layer.in_features * layer.r[ADAPTER_NAME]) for layer in _lora_layers(model)]
    return reach_of_a(fan_ins, shrunk)


def _warnings(share: float, reach: float) -> tuple[str, ...]:
    if reach >= share:
        return ()
    return (
        f"sft.l1.targetSparsity {share:g} is out of reach for A: its learning rates let {reach:.3g} of its entries "
        f"become zero, so A is steered to {reach:.3g}, and B to {share:g}. Train longer or at a higher learning rate.",
    )


def _shortfall(factor: Factor, target: float, share: float) -> str:
    return (
        f"sft.l1.targetSparsity: {factor} was steered to {target:.3g} and ended at {share:.3g}: the loss held on to "
        "its weights for as long as the learning rate let them shrink. Train longer or at a higher learning rate, "
        "lower sft.l1.rampFraction, or ask for less."
    )


def _lora_layers(model: torch.nn.Module) -> list[Any]:
    return [module for module in model.modules() if isinstance(module, LoraLayer)]

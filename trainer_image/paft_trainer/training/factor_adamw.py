"""AdamW with a proximal step that knows A from B, and steers each to a share of zeros where there is a target.

Its parameter groups come from `parameter_groups`. What each of its tensors holds is known only once
DeepSpeed has partitioned the adapter, so `attach` tells it before the first step.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist

from paft_trainer.training.factor_partitions import FactorPartition
from paft_trainer.training.parameter_groups import Factor
from paft_trainer.training.proximal_adamw import adam_root, proximal_threshold, ramp_at, soft_threshold_
from paft_trainer.training.row_shrinkage import row_moments, row_scales
from paft_trainer.training.sparsity_controller import BINS, histogram_of, needed_strength, steer


@dataclass(frozen=True, kw_only=True, slots=True)
class SparsityTarget:
    """The shares of zeros to be reached, and over how many steps they rise from 0."""

    shares: Mapping[Factor, float]
    ramp_steps: float


class FactorAdamW(torch.optim.AdamW):
    """torch.optim.AdamW followed by a proximal step.

    `l1_strength` and `l1_ramp_steps`: of both factors, as in ProximalAdamW, where nothing is steered.
    """

    def __init__(
        self, params: Iterable[Any], *, l1_strength: float, l1_ramp_steps: float, **adamw_options: Any
    ) -> None:
        super().__init__(params, **adamw_options)
        self.l1_strength = l1_strength
        self.l1_ramp_steps = l1_ramp_steps

    def attach(
        self, partitions: Mapping[torch.Tensor, FactorPartition], target: SparsityTarget | None, device: torch.device
    ) -> None:
        """Tell what the tensors hold. `device`: where ranks exchange counts."""
        self._partitions = partitions
        self._target = target
        self._counts = {factor: torch.zeros(2, BINS, dtype=torch.int64, device=device) for factor in Factor}
        self.strengths = {factor: torch.zeros((), device=device) for factor in Factor}

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One AdamW step, then one proximal step, of the parameters that have a gradient."""
        loss = super().step(closure)
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and group["factor"] is not None:
                    self._shrink(parameter, group)
        return loss

    @torch.no_grad()
    def steer(self, step: int) -> None:
        """Set the strengths of the step after optimizer step number `step`, from what that one met. Collective."""
        if self._target is None:
            return
        counts = torch.stack([self._counts[factor] for factor in Factor])
        if dist.is_initialized():
            dist.all_reduce(counts)
        for factor, (roots, needed) in zip(Factor, counts, strict=True):
            next_target = self._target.shares[factor] * ramp_at(step + 1, self._target.ramp_steps)
            self.strengths[factor] = steer(self.strengths[factor], roots=roots, needed=needed, next_target=next_target)
            self._counts[factor].zero_()

    def _strength_at(self, step: float, factor: Factor, device: torch.device) -> torch.Tensor | float:
        if self._target is not None:
            return self.strengths[factor].to(device)
        return self.l1_strength * ramp_at(step, self.l1_ramp_steps)

    def _shrink(self, parameter: torch.Tensor, group: dict[str, Any]) -> None:
        partition = self._partitions[parameter]
        state = self.state[parameter]
        step, learning_rate = float(state["step"]), float(group["lr"])
        weight, moment = parameter.view(-1), state["exp_avg_sq"].view(-1)
        size = weight
        if partition.rows is not None:
            moment, size = row_moments(moment, weight, partition.rows)
        if self._target is not None:
            roots = adam_root(moment[partition.sample], step=step, beta2=group["betas"][1])
            self._count(partition, size[partition.sample], roots, group)
        threshold = proximal_threshold(
            moment,
            step=step,
            learning_rate=learning_rate,
            beta2=group["betas"][1],
            epsilon=group["eps"],
            strength=self._strength_at(step, partition.factor, weight.device),
        )
        if partition.rows is None:
            soft_threshold_(weight, threshold)
        else:
            weight.mul_(partition.rows.spread(row_scales(threshold, size)))

    def _count(
        self, partition: FactorPartition, sizes: torch.Tensor, roots: torch.Tensor, group: dict[str, Any]
    ) -> None:
        needed = needed_strength(sizes, roots, learning_rate=float(group["lr"]), epsilon=group["eps"])
        counts = self._counts[partition.factor]
        counts += torch.stack([histogram_of(roots), histogram_of(needed)]).to(counts.device)

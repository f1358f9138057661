"""AdamW with a proximal step for the L1 penalty of PAFT (arXiv 2406.17923, equation 6).

The penalty λ‖w‖₁ in the loss gives no exact zeros under Adam, whose step divides the gradient by √v̂. The proximal
operator in Adam's own metric (arXiv 2007.03078, "ProxGen") does: after the AdamW step every weight is
soft-thresholded by lr·λ/(√v̂+ε). It acts on whatever tensor the optimizer holds, so under ZeRO-3 on each rank's fp32
partition without communication; DeepSpeed overwrites the low-precision copy from it afterwards.

Three guards keep LoRA's initialisation alive. B starts at 0, so A's gradient and v̂ are 0 at first and tiny for
some steps, and lr·λ/ε would wipe A out at step 1:

- where v̂ is 0 nothing is shrunk;
- no threshold exceeds the scheduled learning rate;
- λ rises linearly over the first steps. Its clock is Adam's own step count, kept with the moments, because DeepSpeed
  calls `step()` once per sub-group and a resumed run has a new optimizer object.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch


def soft_threshold_(weight: torch.Tensor, threshold: torch.Tensor) -> torch.Tensor:
    """sign(w)·max(|w|−t, 0), in place. `weight` and `threshold` have one shape and dtype."""
    shrunk = weight.abs().sub_(threshold).clamp_(min=0)
    return weight.copy_(shrunk.mul_(weight.sign()))


def adam_root(second_moment: torch.Tensor, *, step: float, beta2: float) -> torch.Tensor:
    """√v̂ with v̂ = v/(1−β₂ᵗ), in a tensor of its own."""
    return (second_moment / (1 - beta2**step)).sqrt_()


def proximal_threshold(
    second_moment: torch.Tensor,
    *,
    step: float,
    learning_rate: float,
    beta2: float,
    epsilon: float,
    strength: float | torch.Tensor,
) -> torch.Tensor:
    """min(lr, lr·λ/(√v̂+ε)) with v̂ = v/(1−β₂ᵗ), and 0 where v̂ is 0.

    `second_moment`: Adam's running mean of squared gradients (any shape, fp32). `step`: Adam's t, from 1. `strength`:
    λ at this step.
    """
    denominator = adam_root(second_moment, step=step, beta2=beta2).add_(epsilon)
    threshold = (learning_rate * strength / denominator).clamp_(max=learning_rate)
    return threshold.masked_fill_(second_moment == 0, 0.0)


def ramp_at(step: float, ramp_steps: float) -> float:
    """How much of λ acts at Adam's step t, from 1: a linear rise over `ramp_steps`, then 1."""
    return 1.0 if ramp_steps <= 0 else min(1.0, step / ramp_steps)


class ProximalAdamW(torch.optim.AdamW):
    """torch.optim.AdamW followed by soft-thresholding, except in groups whose `factor` is None.

    `l1_strength`: λ, compared with the gradient after clipping; 0 is plain AdamW. `l1_ramp_steps`: steps over which λ
    rises linearly from 0; 0 applies it in full from step 1.
    """

    def __init__(
        self, params: Iterable[Any], *, l1_strength: float, l1_ramp_steps: float, **adamw_options: Any
    ) -> None:
        super().__init__(params, **adamw_options)
        self.l1_strength = l1_strength
        self.l1_ramp_steps = l1_ramp_steps

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One AdamW step, then one proximal step, of the parameters that have a gradient."""
        loss = super().step(closure)
        if self.l1_strength > 0:
            for group in self.param_groups:
                # The Trainer's own groups hold factors alone, and do not say so.
                is_penalised = group.get("factor", True) is not None
                for parameter in group["params"]:
                    if parameter.grad is not None and is_penalised:
                        self._shrink(parameter, group)
        return loss

    def strength_at(self, step: float) -> float:
        """λ at Adam's step t."""
        return self.l1_strength * ramp_at(step, self.l1_ramp_steps)

    def _shrink(self, parameter: torch.Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        step = float(state["step"])
        threshold = proximal_threshold(
            state["exp_avg_sq"],
            step=step,
            learning_rate=float(group["lr"]),
            beta2=group["betas"][1],
            epsilon=group["eps"],
            strength=self.strength_at(step),
        )
        soft_threshold_(parameter, threshold)

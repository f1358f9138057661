"""What an arm's penalty does besides its optimizer: the seam between the trainer and the modes of spec.sft.l1."""

from collections.abc import Sequence
from typing import Any, Protocol

from paft_api.report import Sparsity
from paft_trainer.training.adapter_state import adapter_parameters
from paft_trainer.training.parameter_groups import factor_of
from paft_trainer.training.proximal_adamw import ramp_at
from paft_trainer.training.sparsity import Factors, l1_norm


class Penalty(Protocol):
    """Acts at the ends of a training's preparation and of its steps, on every rank in the same order."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What cannot be as the job asks for, in words."""

    def begin(self, trainer: Any) -> None:
        """Once optimizer and model are as they are trained, before the first step."""

    def end_step(self, step: int) -> None:
        """After optimizer step number `step`, from 1. Collective."""

    def value(self, factors: Sequence[Factors], step: int) -> float:
        """The penalty of whole factors, as it is added to the loss or stands for at `step`."""

    def missed(self, ended: Sparsity) -> tuple[str, ...]:
        """What the job asked for and did not get, in words. `ended`: of the trained adapter."""

    def to_document(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""


class ConstantPenalty:
    """Nothing to do: the optimizer alone shrinks, or there is no penalty. `strength`: λ after its ramp."""

    warnings: tuple[str, ...] = ()

    def __init__(self, strength: float) -> None:
        self._strength = strength

    def begin(self, trainer: Any) -> None:
        """Nothing."""

    def end_step(self, step: int) -> None:
        """Nothing."""

    def value(self, factors: Sequence[Factors], step: int) -> float:
        """λ·(‖A‖₁ + ‖B‖₁)."""
        return self._strength * l1_norm(factors)

    def missed(self, ended: Sparsity) -> tuple[str, ...]:
        """Nothing: a strength asks for no share of zeros."""
        return ()

    def to_document(self) -> dict[str, Any]:
        """Nothing."""
        return {}


class PenaltyInLoss(ConstantPenalty):
    """The paper's form: λ·(‖A‖₁ + ‖B‖₁) as a term of the loss, before gradients are clipped.

    Its gradient, λ·sign(w), joins that of the loss where autograd hands a parameter its gradient: there ZeRO-3 has
    gathered the parameter (outside of a module's own backward pass it has shape [0], and the term would be silently 0),
    and only there a term of one forward pass is neither lost nor doubled by recomputed activations. Each of an
    optimizer step's backward passes adds its part, and ranks average equal terms. `ramp_steps`: over which λ rises
    from 0.
    """

    def __init__(self, strength: float, ramp_steps: float) -> None:
        super().__init__(strength)
        self._ramp_steps = ramp_steps

    def begin(self, trainer: Any) -> None:
        """Hook into every factor."""
        for name, parameter in adapter_parameters(trainer.model):
            if factor_of(name) is not None:
                parameter.register_hook(self._joining(parameter, trainer))

    def _joining(self, parameter: Any, trainer: Any) -> Any:
        def join(gradient: Any) -> Any:
            assert parameter.shape == gradient.shape, "the parameter is partitioned while its gradient is whole"
            strength = self._strength * ramp_at(trainer.state.global_step + 1, self._ramp_steps)
            return gradient.add(parameter.detach().sign(), alpha=strength / trainer.current_gradient_accumulation_steps)

        return join

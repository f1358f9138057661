"""What evaluations decide: when training ends early, and which adapter is the best one."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from paft_api.spec.training import EarlyStoppingSpec
from paft_trainer.errors import ArtifactMismatch, DataInvalid
from paft_trainer.keeping.saved_checkpoints import list_checkpoints
from paft_trainer.training.checkpoints.checkpoint import load_checkpoint

if TYPE_CHECKING:
    from paft_trainer.training.arm_session import ArmSession


@dataclass(kw_only=True, slots=True)
class Evaluations:
    """All evaluations so far, over all attempts; travels in checkpoints.

    `best_step`, `best_loss`: of the lowest loss, the first of equal ones. `reference`: the last loss that was lower by
    more than minDelta. `without_gain`: evaluations since. `ended_step`: where training ended early.
    """

    best_step: int | None = None
    best_loss: float | None = None
    reference: float | None = None
    without_gain: int = 0
    ended_step: int | None = None

    def take_in(self, step: int, loss: float, stopping: EarlyStoppingSpec | None) -> None:
        """One more evaluation, after optimizer step number `step`."""
        if self.best_loss is None or loss < self.best_loss:
            self.best_step, self.best_loss = step, loss
        min_delta = stopping.min_delta if stopping is not None else 0.0
        if self.reference is None or loss < self.reference - min_delta:
            self.reference, self.without_gain = loss, 0
        else:
            self.without_gain += 1
        if stopping is not None and self.without_gain >= stopping.patience:
            self.ended_step = step

    def to_document(self) -> dict[str, Any]:
        """As kept in a checkpoint."""
        return asdict(self)


class EvaluationCallback(TrainerCallback):
    """After each evaluation: keep its checkpoint where it is the best one to be published, and end training in time."""

    def __init__(self, session: "ArmSession") -> None:
        self._session = session

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float],
        **kwargs: Any,
    ) -> TrainerControl:
        """Collective: all ranks decide by the loss that rank 0 has."""
        session = self._session
        training, evaluations = session.arm.training, session.history.evaluations
        evaluations.take_in(state.global_step, _of_rank_0(metrics["eval_loss"], args.device), training.early_stopping)
        session.reporter.update(best_step=evaluations.best_step, best_eval_loss=evaluations.best_loss)
        if training.publishes_best and evaluations.best_step == state.global_step:
            control.should_save = True
        if evaluations.ended_step is not None:
            control.should_save = control.should_training_stop = True
        return control


def require_evaluation_rows(session: "ArmSession", usable: int) -> None:
    """Raises DataInvalid where evaluations decide and there is nothing to evaluate."""
    if session.arm.training.evaluations_decide and usable == 0:
        uris = ", ".join(source.uri for source in session.arm.data.eval)
        raise DataInvalid(
            f"{uris}: no row has a token to learn within training.maxLength {session.arm.training.max_length}, and "
            "training.earlyStopping or training.publish needs evaluations",
            remedy="Raise training.maxLength, or add rows.",
        )


def best_weights(session: "ArmSession") -> dict[str, torch.Tensor]:
    """Whole weights after the step of the best evaluation, from its checkpoint, whichever attempt saved it. Raises
    ArtifactMismatch where that is gone or torn."""
    evaluations = session.history.evaluations
    for saved in list_checkpoints(session.store, session.attempts_folder):
        if (saved.step, saved.eval_loss) == (evaluations.best_step, evaluations.best_loss):
            checkpoint = load_checkpoint(session.store, saved)
            if checkpoint is not None:
                return checkpoint.adapter.weights
    raise ArtifactMismatch(
        f"{session.attempts_folder}: the checkpoint of the best evaluation, that of step {evaluations.best_step}, is "
        "gone or torn",
        remedy="Remove the arm's checkpoints, so that it trains anew, or set training.publish to last.",
    )


def _of_rank_0(loss: float, device: torch.device) -> float:
    if not dist.is_initialized():
        return loss
    box = torch.tensor([loss], dtype=torch.float64, device=device)
    dist.broadcast(box, src=0)
    return float(box)

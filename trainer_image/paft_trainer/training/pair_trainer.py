"""What the trainers of preference pairs share: batches of pairs, TRL's fused head, and figures of the pairs for logs.

DPOTrainer is TRL's only trainer of pairs that sets an adapter up under ZeRO-3 and scores tokens without whole logits;
what it knows of DPO itself is replaced.
"""

from collections.abc import Mapping
from typing import Any

import torch
from datasets import Dataset
from trl import DPOTrainer

from paft_api.spec.preference import PreferenceSpec
from paft_trainer.data.encoded_rows import EncodedRows
from paft_trainer.training.arm_session import ArmSession
from paft_trainer.training.arm_trainer import ArmTrainerMixin
from paft_trainer.training.batching.batching import Batching
from paft_trainer.training.batching.examples import PairForm
from paft_trainer.training.pair_figures import PairFigures


class PairTrainer(ArmTrainerMixin, DPOTrainer):
    """Tied to an ArmSession. `spec`, `form` and `batching` are given to the constructor by keyword.

    The loss is the mean over the pairs of a step on all processes, however they are shared out over forward passes.
    `OF_THE_FORM`: inputs that the form adds for the loss, and that the model does not know.
    """

    loss_is_scaled_for_ga = True
    OF_THE_FORM: tuple[str, ...]

    def __init__(
        self,
        *args: Any,
        session: ArmSession,
        spec: PreferenceSpec,
        form: PairForm,
        batching: Batching,
        **kwargs: Any,
    ) -> None:
        self._spec = spec
        self._form = form
        self._batching = batching
        super().__init__(*args, session=session, **kwargs)
        self._figures = PairFigures()
        self._learnt_tokens_of_evaluation = _mean_learnt_tokens(self.eval_dataset)

    def _prepare_dataset(self, dataset: Dataset, *args: Any) -> Dataset:
        """The pairs as they are: they come as tokens, by the rules that prepare checks."""
        return dataset

    def pair_losses(
        self, outputs: Any, inputs: dict[str, Any], learnt_tokens: float
    ) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        """The loss of each pair, and figures of each for the logs, by TRL's names, without gradient; shape (pairs,).

        `learnt_tokens`: labelled tokens of a chosen answer, in the mean over all pairs of the step or the evaluation.
        """
        raise NotImplementedError

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: int | None = None
    ) -> torch.Tensor:
        """This pass's share of the step's loss; in evaluation the mean over the pairs."""
        outputs = self._forward(model, inputs)
        if not self.model.training:
            losses, _ = self.pair_losses(outputs, inputs, self._learnt_tokens_of_evaluation)
            return losses.mean()
        assert num_items_in_batch is not None
        rows = self._spec.training.global_batch_size
        losses, figures = self.pair_losses(outputs, inputs, max(num_items_in_batch, 1) / rows)
        self._figures.take_in(figures)
        # Gradients are averaged over processes.
        loss = losses.sum() * (self.args.world_size / rows)
        if self.aux_loss_enabled:
            loss = loss + self.router_aux_loss_coef * outputs.aux_loss / self.current_gradient_accumulation_steps
        return loss

    def _forward(self, model: Any, inputs: dict[str, Any]) -> Any:
        """TRL's fused head: a log-probability for each labelled token instead of logits."""
        tensors = {name: value for name, value in inputs.items() if name not in self.OF_THE_FORM}
        routing = {"output_router_logits": True} if self.aux_loss_enabled else {}
        return model(**tensors, **routing, use_cache=False, fused_lm_head=True)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add what the pairs of the steps since the last entry came to, over all processes."""
        if "loss" in logs:
            logs |= self._figures.take()
        super().log(logs, start_time)


def _mean_learnt_tokens(rows: EncodedRows | None) -> float:
    if rows is None:
        return 1.0
    return max(int(rows.sizes[:, 1].sum()), 1) / len(rows)

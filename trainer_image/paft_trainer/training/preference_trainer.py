"""DPOTrainer with our batches and losses, and reference log-probabilities that are computed once and kept."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from datasets import Dataset
from trl import DPOTrainer

from paft_api.layout import reference_folder
from paft_api.report import Activity
from paft_api.spec.preference import PreferenceSpec
from paft_trainer.data.chat import IGNORED
from paft_trainer.training.arm_session import ArmSession
from paft_trainer.training.arm_trainer import ArmTrainerMixin
from paft_trainer.training.batching.batching import Batching
from paft_trainer.training.batching.examples import REFERENCE_COLUMNS, PairForm
from paft_trainer.training.batching.layouts import sequence_sums
from paft_trainer.training.deepspeed_configuration import computes_in_bf16
from paft_trainer.training.dpo_loss import PairLogProbabilities, dpo_losses, reward_margins
from paft_trainer.training.reference.identity import reference_digest
from paft_trainer.training.reference.reference_pass import ReferencePass
from paft_trainer.training.reference.shards import ReferenceShards
from paft_trainer.training.sampling import visited_rows


class StoppedBeforeTraining(Exception):
    """The attempt was asked to stop while reference log-probabilities were computed; what is there stays."""


class PreferenceArmTrainer(ArmTrainerMixin, DPOTrainer):
    """DPOTrainer tied to an ArmSession. `spec`, `form` and `batching` are given to the constructor by keyword.

    The loss is the mean over the pairs of a step on all processes, however they are shared out over forward passes.
    """

    loss_is_scaled_for_ga = True

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
        self._rewards = self._no_rewards()

    def _prepare_dataset(self, dataset: Dataset, *args: Any) -> Dataset:
        """The pairs as they are: they come as tokens, by the rules that prepare checks."""
        return dataset

    # Reference -------------------------------------------------------------------------------------------------------

    def _prepare_for_training(self, *args: Any) -> tuple[Any, Any]:
        """Also adds reference log-probabilities to all rows that are used. Raises StoppedBeforeTraining."""
        prepared = super()._prepare_for_training(*args)
        self.session.reporter.update(activity=Activity.COMPUTING_REFERENCE)
        self.steps.rows = self._with_reference(self.steps.rows, self._visited_rows())
        if self.eval_dataset is not None:
            self.eval_dataset = self._with_reference(self.eval_dataset, range(len(self.eval_dataset)))
        self.session.throughput.restart()
        return prepared

    def _visited_rows(self) -> Sequence[int]:
        training = self._spec.training
        return visited_rows(
            rows=len(self.steps.rows),
            global_batch_size=training.global_batch_size,
            seed=training.seed,
            steps=self.session.total_steps,
        )

    def _with_reference(self, rows: Dataset, wanted: Sequence[int]) -> Dataset:
        """`rows` with columns for the reference, which hold NaN for rows that are not `wanted`."""
        session = self.session
        pairs = rows.select(wanted)
        training, storage = session.arm.training, session.run_spec.storage
        assert session.run_spec.base_digest is not None
        digest = reference_digest(
            base_digest=session.run_spec.base_digest,
            precision="bf16" if computes_in_bf16(training, session.world) else "fp32",
            sequences=(sequence for row in pairs for sequence in self._form.sequences([row])),
        )
        shards = ReferenceShards(
            session.store,
            reference_folder(storage.artifacts_uri, digest),
            digest,
            allow_unconditional=storage.allow_unconditional_publish,
        )
        reference = ReferencePass(
            pairs,
            form=self._form,
            batching=self._batching,
            shards=shards,
            forward=self.reference_log_probabilities,
            waiting=lambda: session.heartbeat.resting(storage.retry_window),
        )
        values = reference.run(should_stop=lambda: session.stop_signal.agree([], self.args.device)[0])
        if values is None:
            raise StoppedBeforeTraining
        columns = torch.full((2, len(rows)), torch.nan)
        columns[:, list(wanted)] = values
        for name, column in zip(REFERENCE_COLUMNS, columns, strict=True):
            rows = rows.add_column(name, column.numpy())
        return rows

    def reference_log_probabilities(self, inputs: dict[str, Any]) -> torch.Tensor:
        """Of chosen and rejected answers under the base, shape (2, pairs). Collective under ZeRO-3."""
        self.model.eval()
        base = self.accelerator.unwrap_model(self.model)
        with torch.no_grad(), base.disable_adapter(), self.compute_loss_context_manager():
            outputs = self._forward(self.model, self._prepare_inputs(inputs))
        self.session.heartbeat.beat(self.state.global_step)
        return _answer_sums(outputs.log_probs, inputs)

    # Loss ------------------------------------------------------------------------------------------------------------

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: int | None = None
    ) -> torch.Tensor:
        """This pass's share of the step's loss; in evaluation the mean over the pairs."""
        outputs = self._forward(model, inputs)
        chosen, rejected = _answer_sums(outputs.log_probs, inputs)
        chosen_tokens, rejected_tokens = _answer_sums((inputs["labels"][:, 1:] != IGNORED).float(), inputs)
        pairs = PairLogProbabilities(
            chosen=chosen,
            rejected=rejected,
            reference_chosen=inputs["ref_chosen_logps"],
            reference_rejected=inputs["ref_rejected_logps"],
            chosen_tokens=chosen_tokens,
            rejected_tokens=rejected_tokens,
        )
        losses = dpo_losses(pairs, beta=self._spec.dpo.beta, losses=self._spec.dpo.losses)
        if not self.model.training:
            return losses.mean()
        self._note_rewards(reward_margins(pairs, beta=self._spec.dpo.beta))
        # Gradients are averaged over processes.
        loss = losses.sum() * (self.args.world_size / self._spec.training.global_batch_size)
        if self.aux_loss_enabled:
            loss = loss + self.router_aux_loss_coef * outputs.aux_loss / self.current_gradient_accumulation_steps
        return loss

    def _forward(self, model: Any, inputs: dict[str, Any]) -> Any:
        """TRL's fused head: a log-probability for each labelled token instead of logits."""
        tensors = {name: value for name, value in inputs.items() if name not in REFERENCE_COLUMNS}
        routing = {"output_router_logits": True} if self.aux_loss_enabled else {}
        return model(**tensors, **routing, use_cache=False, fused_lm_head=True)

    # Rewards ---------------------------------------------------------------------------------------------------------

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add what the pairs of the steps since the last entry came to, over all processes."""
        if "loss" in logs:
            if dist.is_initialized():
                dist.all_reduce(self._rewards)
            margins, accurate, pairs = self._rewards.tolist()
            logs |= {"rewards/margins": margins / pairs, "rewards/accuracies": accurate / pairs}
            self._rewards = self._no_rewards()
        super().log(logs, start_time)

    def _note_rewards(self, margins: torch.Tensor) -> None:
        margins = margins.double()
        self._rewards += torch.stack([margins.sum(), (margins > 0).double().sum(), margins.new_tensor(len(margins))])

    def _no_rewards(self) -> torch.Tensor:
        """Sum of margins, pairs with the right order, pairs."""
        return torch.zeros(3, dtype=torch.float64, device=self.args.device)


def _answer_sums(values: torch.Tensor, inputs: dict[str, Any]) -> torch.Tensor:
    """Sums over chosen and rejected answers, shape (2, pairs), fp32."""
    return sequence_sums(values.float(), inputs.get("row_lengths")).view(2, -1)

"""DPO: our batches and losses, and reference log-probabilities that are computed once and kept."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from paft_api.layout import reference_folder
from paft_api.report import Activity
from paft_trainer.data.chat import IGNORED
from paft_trainer.data.encoded_rows import ReadAheadRows, RowsWithColumns, SelectedRows
from paft_trainer.training.batching.examples import REFERENCE_COLUMNS
from paft_trainer.training.batching.layouts import sequence_sums
from paft_trainer.training.deepspeed_configuration import precision_of
from paft_trainer.training.dpo_losses.pairs import PairLogProbabilities
from paft_trainer.training.dpo_losses.weighted_sum import dpo_losses
from paft_trainer.training.pair_trainer import PairTrainer
from paft_trainer.training.reference.identity import reference_digest
from paft_trainer.training.reference.reference_pass import ReferencePass
from paft_trainer.training.reference.shards import ReferenceShards
from paft_trainer.training.sampling import visited_rows


class StoppedBeforeTraining(Exception):
    """The attempt was asked to stop while reference log-probabilities were computed; what is there stays."""


class DpoArmTrainer(PairTrainer):
    """Direct preference optimisation; the base with its adapter switched off is the reference."""

    OF_THE_FORM = REFERENCE_COLUMNS

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
            rows=self.steps.mixture,
            global_batch_size=training.global_batch_size,
            seed=training.seed,
            steps=self.session.total_steps,
        )

    def _with_reference(self, rows: ReadAheadRows, wanted: Sequence[int]) -> RowsWithColumns:
        """`rows` with columns for the reference, which hold NaN for rows that are not `wanted`."""
        session = self.session
        pairs = SelectedRows(rows, wanted)
        training, storage = session.arm.training, session.run_spec.storage
        assert session.run_spec.base_digest is not None
        digest = reference_digest(
            base_digest=session.run_spec.base_digest,
            precision=precision_of(training, session.world),
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
        return RowsWithColumns(rows, dict(zip(REFERENCE_COLUMNS, columns.numpy(), strict=True)))

    def reference_log_probabilities(self, inputs: dict[str, Any]) -> torch.Tensor:
        """Of chosen and rejected answers under the base, shape (2, pairs). Collective under ZeRO-3."""
        self.model.eval()
        base = self.accelerator.unwrap_model(self.model)
        with torch.no_grad(), base.disable_adapter(), self.compute_loss_context_manager():
            outputs = self._forward(self.model, self._prepare_inputs(inputs))
        self.session.heartbeat.beat(self.state.global_step)
        return _answer_sums(outputs.log_probs, inputs)

    # Loss ------------------------------------------------------------------------------------------------------------

    def pair_losses(
        self, outputs: Any, inputs: dict[str, Any], learnt_tokens: float
    ) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        """The weighted sum of the job's terms."""
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
        dpo = self._spec.resolved_dpo
        return dpo_losses(pairs, dpo, learnt_tokens=learnt_tokens), _figures(pairs, dpo.beta)


def _figures(pairs: PairLogProbabilities, beta: float) -> dict[str, torch.Tensor]:
    """Implicit rewards (arXiv 2305.18290, β·log π/π_ref) and log-probabilities."""
    chosen, rejected = beta * pairs.chosen_ratio.detach(), beta * pairs.rejected_ratio.detach()
    return {
        "rewards/chosen": chosen,
        "rewards/rejected": rejected,
        "rewards/margins": chosen - rejected,
        "rewards/accuracies": chosen > rejected,
        "logps/chosen": pairs.chosen,
        "logps/rejected": pairs.rejected,
    }


def _answer_sums(values: torch.Tensor, inputs: dict[str, Any]) -> torch.Tensor:
    """Sums over chosen and rejected answers, shape (2, pairs), fp32."""
    return sequence_sums(values.float(), inputs.get("row_lengths")).view(2, -1)

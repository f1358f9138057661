"""What both arms add to TRL's trainers: our order of rows, our checkpoints, our reports, stopping, and guards.

Mixed in before SFTTrainer or DPOTrainer. The seams used are the Trainer's own methods for loading, saving and restoring
(transformers 5.23). To the Trainer an optimizer step is one batch without accumulation; the forward passes within it
are ours, so that there may be as many as the rows of the step need.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch.utils.data import DataLoader
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from paft_api.report import Activity
from paft_trainer.errors import Collapsed, Diverged
from paft_trainer.training.adapter_factors import adapter_factors
from paft_trainer.training.adapter_state import (
    AdapterStateAccess,
    PartitionedParameters,
    WholeParameters,
    adapter_parameters,
)
from paft_trainer.training.arm_session import ArmSession
from paft_trainer.training.batching.layouts import token_count
from paft_trainer.training.batching.steps import OptimizerStep, OptimizerSteps, step_loader
from paft_trainer.training.checkpoints.background_save import Snapshot
from paft_trainer.training.checkpoints.checkpoint import TrainerPosition, encode_trainer_state
from paft_trainer.training.checkpoints.saver import CheckpointSaver
from paft_trainer.training.checkpoints.schedule_state import restore_schedule, schedule_state
from paft_trainer.training.embedding_noise import EmbeddingNoise
from paft_trainer.training.evaluations import EvaluationCallback
from paft_trainer.training.penalty import ConstantPenalty, Penalty
from paft_trainer.training.random_state import capture_random_state, restore_random_state
from paft_trainer.training.sampling import EpochSampler
from paft_trainer.training.sparsity import measure_sparsity
from paft_trainer.training.sparsity_history import with_point


class ArmTrainerMixin:
    """Ties a TRL trainer to an ArmSession. `session` and `steps` are given to the constructor by keyword."""

    def __init__(self, *args: Any, session: ArmSession, steps: OptimizerSteps, **kwargs: Any) -> None:
        self.session = session
        self.penalty: Penalty = ConstantPenalty(0.0)
        self.embedding_noise: EmbeddingNoise | None = None
        self.steps = steps
        self._step_tokens = 0
        self._evaluated_step: int | None = None
        super().__init__(*args, train_dataset=steps.first_row(), **kwargs)
        self.saver = CheckpointSaver(session, self.args.device)
        self.add_callback(_StepEnd(self))
        self.add_callback(EvaluationCallback(session))

    # Order of rows ---------------------------------------------------------------------------------------------------

    def get_train_dataloader(self) -> DataLoader[OptimizerStep]:
        """Whole optimizer steps, in an order that is the same for any number of processes."""
        training = self.session.arm.training
        self._sampler = EpochSampler(
            rows=self.steps.mixture, global_batch_size=training.global_batch_size, seed=training.seed
        )
        self.steps.share(self.args.process_index, self.args.world_size)
        return step_loader(self.steps, self._sampler, global_batch_size=training.global_batch_size)

    def _run_epoch(self, *, epoch: int, **kwargs: Any) -> None:
        self._sampler.set_epoch(epoch)
        super()._run_epoch(epoch=epoch, **kwargs)

    # Restoring -------------------------------------------------------------------------------------------------------

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Nothing: weights are taken over in `_prepare_for_training`, before DeepSpeed partitions them."""

    def _prepare_for_training(
        self, max_steps: int, train_dataloader: Any, resume_from_checkpoint: str | None
    ) -> tuple[Any, Any]:
        resumed = self.session.resumed
        if resumed is not None:
            for name, parameter in adapter_parameters(self.model):
                parameter.data.copy_(resumed.adapter.weights[name])
        # Without the folder, so that the Trainer does not look for a checkpoint of DeepSpeed's own.
        model, dataloader = super()._prepare_for_training(max_steps, train_dataloader, None)
        self.adapter_access = self._open_adapter_access()
        if resumed is not None:
            self.adapter_access.write(resumed.adapter)
            restore_schedule(self.lr_scheduler, self.optimizer, resumed.position.scheduler)
        self.penalty.begin(self)
        self.session.throughput.restart()
        return model, dataloader

    def create_scheduler(self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None) -> Any:
        """DeepSpeed's optimizer lacks torch's `defaults`, in which some schedules look for the peak."""
        if self.is_deepspeed_enabled:
            zero_optimizer = self.optimizer.optimizer
            zero_optimizer.defaults = zero_optimizer.optimizer.defaults
        return super().create_scheduler(num_training_steps, optimizer)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        assert self.session.resumed is not None
        restore_random_state(self.session.resumed.rng, seed=self.session.arm.training.seed)

    def _open_adapter_access(self) -> AdapterStateAccess:
        if self.is_deepspeed_enabled:
            return PartitionedParameters(self.model, self.model_wrapped)
        return WholeParameters(self.model, self.optimizer.optimizer)

    # Saving ----------------------------------------------------------------------------------------------------------

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Begin a checkpoint; training goes on when this rank's share is copied, and the one before is complete."""
        session = self.session
        session.reporter.update(activity=Activity.SAVING)
        with session.heartbeat.resting(session.run_spec.storage.retry_window):
            self.saver.save(self._snapshot)
        session.reporter.update(activity=Activity.TRAINING)

    def _snapshot(self) -> Snapshot:
        session = self.session
        position = TrainerPosition(
            step=self.state.global_step,
            scheduler=schedule_state(self.lr_scheduler),
            history=session.history.to_document(),
            penalty=self.penalty.to_document(),
        )
        share = self.adapter_access.share()
        return Snapshot(
            step=position.step,
            share=share,
            random_state=capture_random_state(self.args.device),
            trainer_state=encode_trainer_state(position, share),
            eval_loss=session.history.eval_loss if self._evaluated_step == position.step else None,
        )

    # Steps and reports -----------------------------------------------------------------------------------------------

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Evaluate, and tell so. Collective."""
        self.session.reporter.update(activity=Activity.EVALUATING)
        metrics: dict[str, float] = super().evaluate(*args, **kwargs)
        self.session.reporter.update(activity=Activity.TRAINING)
        return metrics

    def training_step(self, model: Any, step: OptimizerStep, num_items_in_batch: None = None) -> torch.Tensor:
        """All forward and backward passes of a step; counts tokens and refuses a loss that is not finite."""
        self.current_gradient_accumulation_steps = len(step.passes)
        loss = torch.zeros((), device=self.args.device)
        for inputs in step.passes:
            # DeepSpeed's engine updates the weights within the backward pass of which this is true.
            self.accelerator.gradient_state._set_sync_gradients(inputs is step.passes[-1])
            self._step_tokens += token_count(inputs)
            if self.embedding_noise is not None:
                self.embedding_noise.begin_pass(inputs, self.state.global_step)
            loss += super().training_step(model, inputs, step.learnt_tokens)
            self.session.heartbeat.beat(self.state.global_step)
        if not bool(torch.isfinite(loss)):
            raise Diverged(f"the loss at step {self.state.global_step + 1} is {float(loss)}")
        return loss

    def prediction_step(self, *args: Any, **kwargs: Any) -> Any:
        """One batch of an evaluation."""
        result = super().prediction_step(*args, **kwargs)
        self.session.heartbeat.beat(self.state.global_step)
        return result

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Pass a log entry on to the report."""
        super().log(logs, start_time)
        # In fp16 DeepSpeed leaves such a step out, and lowers the scale of the loss.
        is_scaled = self.session.arm.training.precision == "fp16"
        if "grad_norm" in logs and not math.isfinite(logs["grad_norm"]) and not is_scaled:
            raise Diverged(f"the gradient norm at step {self.state.global_step} is {logs['grad_norm']}")
        self.session.track(_named(logs), self.state.global_step)
        if "loss" in logs:
            self._report_step(logs)
        if "eval_loss" in logs:
            if not math.isfinite(logs["eval_loss"]):
                raise Diverged(f"the evaluation loss at step {self.state.global_step} is {logs['eval_loss']}")
            self._evaluated_step = self.state.global_step
            self.session.history.eval_loss = logs["eval_loss"]
            self.session.reporter.update(eval_loss=logs["eval_loss"])

    def _report_step(self, logs: dict[str, float]) -> None:
        session = self.session
        margin = logs.get("rewards/margins")
        session.history.note(logs["loss"], margin)
        step = self.state.global_step
        session.reporter.update(
            activity=Activity.TRAINING,
            step=step,
            total_steps=session.total_steps,
            loss=logs["loss"],
            reward_margin=margin,
            reward_accuracy=logs.get("rewards/accuracies"),
            log_odds_ratio=logs.get("log_odds_chosen"),
            tokens_per_second=session.throughput.tokens_per_second,
            eta_seconds=(session.total_steps - step) * session.throughput.seconds_per_step,
        )

    @property
    def trained_steps(self) -> int:
        """Optimizer steps behind the weights at hand, also where an earlier attempt did the last of them."""
        resumed = self.session.resumed
        return max(self.state.global_step, resumed.position.step if resumed is not None else 0)

    def take_step_tokens(self) -> int:
        """Tokens this rank saw since the last call."""
        tokens, self._step_tokens = self._step_tokens, 0
        return tokens

    # Sparsity --------------------------------------------------------------------------------------------------------

    def measure_adapter(self) -> None:
        """Measure sparsity on rank 0; refuse an adapter whose ΔW is zero after the warm-up. Collective."""
        weights = self.adapter_access.weights()
        if weights is not None:
            self.measure_weights(weights, self.state.global_step)

    def measure_weights(self, weights: dict[str, torch.Tensor], step: int) -> None:
        """The same for whole weights at hand, those after optimizer step number `step`."""
        factors = adapter_factors(self.model, weights)
        measured = measure_sparsity(list(factors.values()))
        session = self.session
        warmup_steps = self.args.get_warmup_steps(session.total_steps)
        if measured.total.delta_norm == 0 and step > warmup_steps + 1:
            raise Collapsed(f"ΔW is zero at step {step} of {session.total_steps}")
        session.sparsity = measured.total
        by_module = dict(zip(factors, measured.modules, strict=True))
        session.history.sparsity = with_point(session.history.sparsity, step, by_module)
        penalty = self.penalty.value(list(factors.values()), step)
        shares = {f"sparsity/{name}": value for name, value in measured.total.to_document().items()}
        session.track({**shares, "sparsity/penalty": penalty}, step)
        session.reporter.update(sparsity=measured.total, penalty=penalty)


def _named(logs: Mapping[str, Any]) -> dict[str, float]:
    """As transformers' own callbacks name them for trackers: `train/loss`, `eval/loss`."""
    return {
        f"eval/{name.removeprefix('eval_')}" if name.startswith("eval_") else f"train/{name}": float(value)
        for name, value in logs.items()
        if isinstance(value, int | float)
    }


class _StepEnd(TrainerCallback):
    """What happens after each optimizer step, on every rank in the same order."""

    def __init__(self, trainer: ArmTrainerMixin) -> None:
        self._trainer = trainer

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """From here on seconds belong to steps."""
        self._trainer.session.reporter.update(activity=Activity.TRAINING)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        session = self._trainer.session
        told = [self._trainer.take_step_tokens(), *self._trainer.saver.tell()]
        stop, (tokens, *heard) = session.stop_signal.agree(told, args.device)
        session.throughput.note(tokens)
        self._trainer.penalty.end_step(state.global_step)
        is_last = state.global_step >= session.total_steps
        if is_last or state.global_step % session.arm.training.eval_steps == 0:
            session.reporter.update(activity=Activity.EVALUATING)
            self._trainer.measure_adapter()
            control.should_evaluate = self._trainer.eval_dataset is not None
        if self._trainer.saver.hear(heard) or is_last or stop:
            control.should_save = True
        if stop and not is_last:
            session.stopped = True
            control.should_training_stop = True
        return control

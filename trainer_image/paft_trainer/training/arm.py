"""One attempt at one arm, as every rank runs it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from transformers import TrainerState

from paft_api.report import Activity, AdapterMetrics, AdapterResult
from paft_api.stages import StageName
from paft_trainer.tracking.tracker import RunEnd
from paft_trainer.tracking.trackers import open_trackers
from paft_trainer.training.adapter_publication import encode_adapter, publish_adapter
from paft_trainer.training.arm_session import ArmSession, TrainingHistory
from paft_trainer.training.arm_trainer import ArmTrainerMixin
from paft_trainer.training.checkpoints.checkpoint import load_newest_checkpoint
from paft_trainer.training.dpo_trainer import StoppedBeforeTraining
from paft_trainer.training.evaluations import best_weights, require_evaluation_rows
from paft_trainer.training.preference import build_preference_trainer
from paft_trainer.training.sft import build_sft_trainer


def train_arm(session: ArmSession, base_folder: Path, *, partitioned: bool) -> AdapterResult | None:
    """Train the adapter, from the newest checkpoint if there is one, and publish it.

    Returns the result on rank 0, and None on the other ranks and where training was stopped (`session.stopped`).
    Collective. Raises StageError.
    """
    session.reporter.update(activity=Activity.LOADING)
    _resume(session)
    with _tracked(session):
        return _train_and_publish(session, base_folder, partitioned=partitioned)


@contextmanager
def _tracked(session: ArmSession) -> Iterator[None]:
    if dist.is_initialized() and dist.get_rank() != 0:
        yield
        return
    first_step = 0 if session.resumed is None else session.resumed.position.step
    with open_trackers(
        session.run_spec, first_step=first_step, configuration=session.arm.to_document()
    ) as session.trackers:
        yield
        if session.stopped:
            session.trackers.ended = RunEnd.STOPPED


def _train_and_publish(session: ArmSession, base_folder: Path, *, partitioned: bool) -> AdapterResult | None:
    trainer = _build(session, base_folder, partitioned=partitioned)
    require_evaluation_rows(session, len(trainer.eval_dataset or ()))
    session.reporter.update(warnings=(*session.data_warnings, *trainer.penalty.warnings))
    weights = _train(session, trainer)
    session.heartbeat.end()
    if session.stopped or weights is None:
        return None
    session.reporter.update(activity=Activity.PUBLISHING)
    weights, step = _published(session, trainer, weights)
    warnings = _warnings(session, trainer)
    session.reporter.update(warnings=warnings)
    files = encode_adapter(trainer.model, weights, base_uri=session.run_spec.base.uri)
    return publish_adapter(session, files, _metrics(session, warnings, step))


def _resume(session: ArmSession) -> None:
    newest = load_newest_checkpoint(session.store, session.attempts_folder)
    if newest is None:
        return
    saved, session.resumed = newest
    session.history = TrainingHistory.from_document(session.resumed.position.history)
    session.reporter.update(
        step=saved.step,
        resumed_step=saved.step,
        checkpoint_step=saved.step,
        best_step=session.history.evaluations.best_step,
        best_eval_loss=session.history.evaluations.best_loss,
    )


def _build(session: ArmSession, base_folder: Path, *, partitioned: bool) -> Any:
    if session.stage is StageName.SFT:
        return build_sft_trainer(session, base_folder, partitioned=partitioned)
    return build_preference_trainer(session, base_folder, partitioned=partitioned)


def _train(session: ArmSession, trainer: Any) -> dict[str, torch.Tensor] | None:
    """Whole weights of the trained adapter on rank 0, None on the others."""
    resumed = session.resumed
    if session.has_trained:
        return _finished_weights(session, trainer)
    folder = None if resumed is None else _write_trainer_state(session, trainer, resumed.position.step)
    with trainer.saver:
        try:
            trainer.train(resume_from_checkpoint=folder)
        except StoppedBeforeTraining:
            session.stopped = True
            return None
    return trainer.adapter_access.weights()


def _finished_weights(session: ArmSession, trainer: ArmTrainerMixin) -> dict[str, torch.Tensor] | None:
    """Training ended in an earlier attempt that did not get to publish: its last checkpoint is the result."""
    assert session.resumed is not None
    weights = session.resumed.adapter.weights
    trainer.measure_weights(weights, session.resumed.position.step)
    return weights if not dist.is_initialized() or dist.get_rank() == 0 else None


def _published(
    session: ArmSession, trainer: ArmTrainerMixin, last: dict[str, torch.Tensor]
) -> tuple[dict[str, torch.Tensor], int]:
    """Weights that are the arm's result, and the step that gave them. `last`: those at the end of training."""
    evaluations, end = session.history.evaluations, trainer.trained_steps
    if not session.arm.training.publishes_best or evaluations.best_step == end:
        return last, end
    assert evaluations.best_step is not None
    weights = best_weights(session)
    trainer.measure_weights(weights, evaluations.best_step)
    session.history.eval_loss = evaluations.best_loss
    return weights, evaluations.best_step


def _write_trainer_state(session: ArmSession, trainer: Any, step: int) -> str:
    """The folder from which transformers learns how many steps are done, and thus which rows to pass over."""
    folder = Path(session.run_spec.scratch_directory) / f"resume-{trainer.args.process_index}"
    folder.mkdir(parents=True, exist_ok=True)
    state = TrainerState(
        global_step=step,
        logging_steps=trainer.args.logging_steps,
        save_steps=trainer.args.save_steps,
        eval_steps=trainer.args.eval_steps,
        train_batch_size=trainer.args.per_device_train_batch_size,
    )
    state.save_to_json(str(folder / "trainer_state.json"))
    return str(folder)


def _warnings(session: ArmSession, trainer: ArmTrainerMixin) -> tuple[str, ...]:
    penalty, ended = trainer.penalty, session.sparsity
    missed = () if ended is None else penalty.missed(ended)
    return (*session.data_warnings, *penalty.warnings, *missed)


def _metrics(session: ArmSession, warnings: tuple[str, ...], step: int) -> AdapterMetrics:
    """`step`: the one whose adapter is published."""
    history = session.history
    return AdapterMetrics(
        steps=step,
        best_step=history.evaluations.best_step,
        best_eval_loss=history.evaluations.best_loss,
        ended_step=history.evaluations.ended_step,
        first_loss=history.first_loss,
        last_loss=history.last_loss,
        eval_loss=history.eval_loss,
        first_reward_margin=history.first_reward_margin,
        last_reward_margin=history.last_reward_margin,
        sparsity=session.sparsity,
        warnings=warnings,
        tokens_per_second=session.throughput.tokens_per_second,
    )

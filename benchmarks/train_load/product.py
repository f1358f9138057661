"""The product's own training, with its steps and tokens noted."""

from pathlib import Path
from typing import Any

from benchmarks.train_load.recording import Recording

from paft_api.report import ReportState, StageReport
from paft_api.run_spec import RunSpec
from paft_trainer.launching.arm_launcher import prepare_base
from paft_trainer.reporting import Reporter
from paft_trainer.storage import open_store
from paft_trainer.training import arm_trainer, dpo_trainer, rank
from paft_trainer.training.arm_session import ArmSession
from paft_trainer.training.stop_signal import StopSignal


def train_product(run_spec: RunSpec, recording: Recording, *, partitioned: bool, online: bool) -> None:
    """Train to the end. `online`: compute the reference in every step, as TRL does."""
    _count_passes(recording)
    _note_save_stall(recording)
    if online:
        _compute_reference_in_steps()
    base = prepare_base(run_spec, open_store(run_spec.storage))
    # Each look at this clock is a minute later, so that every step is reported.
    minutes = iter(range(0, 10**9, 60))
    reporter = Reporter(run_spec.identity, _Steps(recording), clock=lambda: next(minutes))
    rank.train_in_world(run_spec, Path(base), reporter, StopSignal(), partitioned=partitioned)


class _Steps:
    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._step = 0

    def write(self, report: StageReport) -> None:
        """A sink of reports."""
        if report.state is ReportState.RUNNING and (report.progress.step or 0) > self._step:
            self._step = report.progress.step or 0
            self._recording.note_step()


def _count_passes(recording: Recording) -> None:
    counted = arm_trainer.token_count

    def count(inputs: dict[str, Any]) -> int:
        recording.note_pass(inputs)
        return counted(inputs)

    arm_trainer.token_count = count


def _note_save_stall(recording: Recording) -> None:
    trained = rank.train_arm

    def train(session: ArmSession, *args: Any, **kwargs: Any) -> Any:
        result = trained(session, *args, **kwargs)
        recording.note_save_stall(session.save_stall.seconds / session.save_stall.saves)
        return result

    rank.train_arm = train


def _compute_reference_in_steps() -> None:
    trainer = dpo_trainer.DpoArmTrainer
    compute_loss = trainer.compute_loss

    def with_reference(self: Any, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        tokens = {name: value for name, value in inputs.items() if not name.startswith("ref_")}
        chosen, rejected = self.reference_log_probabilities(tokens)
        self.model.train()
        inputs |= {"ref_chosen_logps": chosen, "ref_rejected_logps": rejected}
        return compute_loss(self, model, inputs, *args, **kwargs)

    trainer.compute_loss = with_reference  # type: ignore[method-assign]

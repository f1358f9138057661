"""The alignment arm: TRL's DPOTrainer; the base with its adapter switched off is the reference."""

from pathlib import Path

from datasets import Dataset
from trl import DPOConfig, DPOTrainer

from paft_api.spec.preference import PreferenceSpec
from paft_trainer.data.rows import load_rows
from paft_trainer.data.schedule import total_steps
from paft_trainer.errors import DataInvalid
from paft_trainer.training.arguments import shared_arguments
from paft_trainer.training.arm_session import ArmSession
from paft_trainer.training.arm_trainer import ArmTrainerMixin
from paft_trainer.training.base_model import load_base_model, load_tokenizer, lora_configuration


class PreferenceArmTrainer(ArmTrainerMixin, DPOTrainer):
    """DPOTrainer tied to an ArmSession."""


def build_preference_trainer(session: ArmSession, base_folder: Path, *, partitioned: bool) -> PreferenceArmTrainer:
    """Everything the alignment arm needs, ready to `train()`. Raises DataInvalid."""
    run = session.run_spec.preference
    assert run is not None
    spec = run.spec
    train_rows = Dataset.from_list(load_rows(session.store, spec.data.train))
    eval_rows = Dataset.from_list(load_rows(session.store, spec.data.eval))
    session.total_steps = total_steps(spec.training, len(train_rows))
    trainer = PreferenceArmTrainer(
        session=session,
        args=_arguments(session, spec, partitioned=partitioned),
        model=load_base_model(session, base_folder),
        train_dataset=train_rows,
        eval_dataset=eval_rows if spec.data.eval else None,
        processing_class=load_tokenizer(base_folder, session.run_spec.base.chat_template),
        peft_config=lora_configuration(spec.lora),
    )
    _check_enough_rows(trainer, spec, given=len(train_rows))
    return trainer


def _arguments(session: ArmSession, spec: PreferenceSpec, *, partitioned: bool) -> DPOConfig:
    return DPOConfig(
        **shared_arguments(session, partitioned=partitioned),
        beta=spec.dpo.beta,
        loss_type=[loss.type for loss in spec.dpo.losses],
        loss_weights=[loss.weight for loss in spec.dpo.losses],
        max_length=spec.training.max_length,
        # TRL switches all dropout off, the adapter's included, unless told not to.
        disable_dropout=spec.lora.dropout == 0,
        optim="adamw_torch",
    )


def _check_enough_rows(trainer: PreferenceArmTrainer, spec: PreferenceSpec, *, given: int) -> None:
    usable = len(trainer.train_dataset)
    if usable < spec.training.global_batch_size:
        raise DataInvalid(
            f"{spec.data.train[0].uri}: only {usable} of {given} pairs have a prompt shorter than "
            f"training.maxLength {spec.training.max_length}, fewer than training.globalBatchSize "
            f"{spec.training.global_batch_size}",
            remedy="Raise training.maxLength, lower training.globalBatchSize or add pairs.",
        )

"""The alignment arm: TRL's DPOTrainer; the base with its adapter switched off is the reference."""

from pathlib import Path
from typing import Any

from datasets import Dataset
from trl import DPOConfig, DPOTrainer

from paft_api.spec.preference import PreferenceSpec
from paft_trainer.data.encoding import require_full_batch, usable_rows
from paft_trainer.data.schedule import total_steps
from paft_trainer.training.arguments import shared_arguments
from paft_trainer.training.arm_session import ArmSession
from paft_trainer.training.arm_trainer import ArmTrainerMixin
from paft_trainer.training.base_model import load_base_model, load_tokenizer, lora_configuration


class PreferenceArmTrainer(ArmTrainerMixin, DPOTrainer):
    """DPOTrainer tied to an ArmSession."""

    def _prepare_dataset(self, dataset: Dataset, *args: Any) -> Dataset:
        """The pairs as they are: they come as tokens, by the rules that prepare checks."""
        return dataset


def build_preference_trainer(session: ArmSession, base_folder: Path, *, partitioned: bool) -> PreferenceArmTrainer:
    """Everything the alignment arm needs, ready to `train()`. Raises DataInvalid."""
    run = session.run_spec.preference
    assert run is not None
    spec = run.spec
    tokenizer = load_tokenizer(base_folder, session.run_spec.base.chat_template)
    train_rows = usable_rows(session.store, spec.data.train, tokenizer, spec.training.max_length)
    eval_rows = usable_rows(session.store, spec.data.eval, tokenizer, spec.training.max_length)
    require_full_batch(spec.training, spec.data.train, usable=len(train_rows))
    session.total_steps = total_steps(spec.training, len(train_rows))
    return PreferenceArmTrainer(
        session=session,
        args=_arguments(session, spec, partitioned=partitioned),
        model=load_base_model(session, base_folder),
        train_dataset=Dataset.from_list(train_rows),
        eval_dataset=Dataset.from_list(eval_rows) if eval_rows else None,
        processing_class=tokenizer,
        peft_config=lora_configuration(spec.lora),
    )


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

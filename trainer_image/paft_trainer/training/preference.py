"""The alignment arm: DPO or ORPO on the same rows, batches and model."""

from pathlib import Path

from trl import DPOConfig

from paft_api.spec.preference import PreferenceSpec
from paft_trainer.training.adapter_targets import adapter_configuration
from paft_trainer.training.arguments import shared_arguments
from paft_trainer.training.arm_rows import open_arm_rows
from paft_trainer.training.arm_session import ArmSession
from paft_trainer.training.base_model import load_base_model, load_tokenizer
from paft_trainer.training.batching.choice import choose_batching
from paft_trainer.training.batching.collation import PaddedCollator
from paft_trainer.training.batching.examples import PairForm, PairFormWithPrompts
from paft_trainer.training.batching.steps import OptimizerSteps
from paft_trainer.training.dpo_trainer import DpoArmTrainer
from paft_trainer.training.optimizers import plain_optimizer
from paft_trainer.training.orpo_trainer import OrpoArmTrainer
from paft_trainer.training.pair_trainer import PairTrainer

METHODS: dict[str, tuple[type[PairTrainer], type[PairForm]]] = {
    "dpo": (DpoArmTrainer, PairForm),
    "orpo": (OrpoArmTrainer, PairFormWithPrompts),
}
"""By preference.method: the trainer, and what it is given of a pair."""


def build_preference_trainer(session: ArmSession, base_folder: Path, *, partitioned: bool) -> PairTrainer:
    """Everything the alignment arm needs, ready to `train()`. Raises DataInvalid."""
    run = session.run_spec.preference
    assert run is not None
    spec = run.spec
    tokenizer = load_tokenizer(base_folder, session.run_spec.base.chat_template)
    trainer, form_of_pairs = METHODS[spec.method]
    form = form_of_pairs(spec.training.max_length)
    rows = open_arm_rows(session, tokenizer, form)
    arguments = _arguments(session, spec, partitioned=partitioned)
    model = load_base_model(session, base_folder)
    batching = choose_batching(spec.training, model, tokenizer, sequences_per_row=2)
    arm_trainer = trainer(
        session=session,
        spec=spec,
        form=form,
        batching=batching,
        steps=OptimizerSteps(rows.train, form, batching, sizes=rows.train.sizes, mixture=rows.train.mixture),
        args=arguments,
        model=model,
        data_collator=PaddedCollator(form, pad_token_id=batching.pad_token_id),
        eval_dataset=rows.evaluation,
        processing_class=tokenizer,
        peft_config=adapter_configuration(model, spec.lora),
    )
    arm_trainer.optimizer_cls_and_kwargs = plain_optimizer(arm_trainer.model, spec.training, spec.lora)
    return arm_trainer


def _arguments(session: ArmSession, spec: PreferenceSpec, *, partitioned: bool) -> DPOConfig:
    return DPOConfig(
        **shared_arguments(session, partitioned=partitioned),
        max_length=spec.training.max_length,
        # TRL switches all dropout off, the adapter's included, unless told not to.
        disable_dropout=spec.lora.dropout == 0,
    )

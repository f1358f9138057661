"""The supervised arm: TRL's SFTTrainer on rows whose labels cover the assistant's turns only, with an L1 penalty."""

from pathlib import Path
from typing import Any

from trl import SFTConfig, SFTTrainer

from paft_api.spec.sft import L1Spec, SftSpec
from paft_api.spec.training import TrainingSpec
from paft_trainer.training.adapter_targets import adapter_configuration
from paft_trainer.training.arguments import shared_arguments
from paft_trainer.training.arm_rows import open_arm_rows
from paft_trainer.training.arm_session import ArmSession
from paft_trainer.training.arm_trainer import ArmTrainerMixin
from paft_trainer.training.base_model import load_base_model, load_tokenizer
from paft_trainer.training.batching.choice import choose_batching
from paft_trainer.training.batching.collation import PaddedCollator
from paft_trainer.training.batching.examples import ChatForm
from paft_trainer.training.batching.steps import OptimizerSteps
from paft_trainer.training.embedding_noise import EmbeddingNoise
from paft_trainer.training.factor_penalty import FactorPenalty
from paft_trainer.training.optimizers import adamw_options, groups_where_needed, plain_optimizer
from paft_trainer.training.penalty import ConstantPenalty, Penalty, PenaltyInLoss
from paft_trainer.training.proximal_adamw import ProximalAdamW


class SftArmTrainer(ArmTrainerMixin, SFTTrainer):
    """SFTTrainer tied to an ArmSession."""


def build_sft_trainer(session: ArmSession, base_folder: Path, *, partitioned: bool) -> SftArmTrainer:
    """Everything the supervised arm needs, ready to `train()`. Raises DataInvalid."""
    run = session.run_spec.sft
    assert run is not None
    training = run.spec.training
    tokenizer = load_tokenizer(base_folder, session.run_spec.base.chat_template)
    form = ChatForm()
    rows = open_arm_rows(session, tokenizer, form)
    arguments = SFTConfig(
        **shared_arguments(session, partitioned=partitioned),
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
    )
    model = load_base_model(session, base_folder)
    batching = choose_batching(training, model, tokenizer, sequences_per_row=1)
    trainer = SftArmTrainer(
        session=session,
        steps=OptimizerSteps(rows.train, form, batching, sizes=rows.train.sizes, mixture=rows.train.mixture),
        model=model,
        args=arguments,
        data_collator=PaddedCollator(form, pad_token_id=batching.pad_token_id),
        eval_dataset=rows.evaluation,
        processing_class=tokenizer,
        peft_config=adapter_configuration(model, run.spec.lora),
    )
    if training.neftune_noise_alpha is not None:
        trainer.embedding_noise = EmbeddingNoise(trainer.model, alpha=training.neftune_noise_alpha, seed=training.seed)
    _penalise(trainer, run.spec)
    return trainer


def _penalise(trainer: SftArmTrainer, spec: SftSpec) -> None:
    """Give the trainer its optimizer and its penalty."""
    l1, training, total_steps = spec.l1, spec.training, trainer.session.total_steps
    if l1.steers_factors:
        resumed = trainer.session.resumed
        penalty = FactorPenalty(
            l1,
            training,
            trainer.model,
            total_steps=total_steps,
            resumed={} if resumed is None else resumed.position.penalty,
        )
        trainer.penalty = penalty
        trainer.optimizer_cls_and_kwargs = penalty.optimizer(trainer.model, training, spec.lora)
        return
    trainer.penalty = _whole_penalty(l1, total_steps)
    if l1.mode == "proximal":
        options = optimizer_options(training, l1, total_steps=total_steps)
        groups = groups_where_needed(trainer.model, training, spec.lora)
        trainer.optimizer_cls_and_kwargs = ProximalAdamW, options | groups
    else:
        trainer.optimizer_cls_and_kwargs = plain_optimizer(trainer.model, training, spec.lora)


def _whole_penalty(l1: L1Spec, total_steps: int) -> Penalty:
    if l1.mode == "subgradient":
        return PenaltyInLoss(l1.strength, l1.ramp * total_steps)
    return ConstantPenalty(l1.strength)


def optimizer_options(training: TrainingSpec, l1: L1Spec, *, total_steps: int) -> dict[str, Any]:
    """Keyword arguments of ProximalAdamW; without a proximal step it is AdamW, bit for bit."""
    return {
        **adamw_options(training),
        "l1_strength": l1.strength if l1.mode == "proximal" else 0.0,
        "l1_ramp_steps": l1.ramp * total_steps,
    }

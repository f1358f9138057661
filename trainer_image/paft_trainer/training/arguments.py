"""TRL's argument classes, filled in from the job: what both arms share."""

import math
from typing import Any

from paft_trainer.training.arm_session import ArmSession
from paft_trainer.training.deepspeed_configuration import (
    computes_in_bf16,
    deepspeed_configuration,
    rows_per_process,
)


def shared_arguments(session: ArmSession, *, partitioned: bool) -> dict[str, Any]:
    """Keyword arguments that SFTConfig and DPOConfig have in common.

    `partitioned`: train with DeepSpeed ZeRO-3; without it in one plain process. Every default that differs from
    TRL's is set here on purpose: precision and gradient checkpointing follow the job, nothing is reported to outside
    services. One batch of the Trainer's is a whole optimizer step (see `training.batching`).
    """
    training = session.arm.training
    arguments: dict[str, Any] = {
        "output_dir": session.run_spec.scratch_directory,
        "max_steps": session.total_steps,
        "per_device_train_batch_size": rows_per_process(training, session.world),
        "per_device_eval_batch_size": training.micro_batch_size,
        "gradient_accumulation_steps": 1,
        "learning_rate": training.learning_rate,
        "lr_scheduler_type": training.lr_scheduler,
        "lr_scheduler_kwargs": dict(training.lr_scheduler_kwargs),
        "warmup_steps": math.ceil(session.total_steps * training.warmup_ratio),
        "weight_decay": training.weight_decay,
        "max_grad_norm": training.max_grad_norm,
        "gradient_checkpointing": training.gradient_checkpointing,
        "bf16": computes_in_bf16(training, session.world),
        "fp16": training.precision == "fp16",
        "torch_compile": training.torch_compile,
        "use_liger_kernel": training.use_liger_kernel,
        "use_cpu": session.world.device == "cpu",
        "seed": training.seed,
        "save_strategy": "steps",
        "save_steps": training.save_steps,
        "eval_strategy": "no",
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "disable_tqdm": True,
        "report_to": "none",
    }
    if partitioned:
        arguments["deepspeed"] = deepspeed_configuration(training, session.world)
    return arguments

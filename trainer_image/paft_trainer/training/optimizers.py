"""Which AdamW an arm trains with, and its options."""

from typing import Any

import torch

from paft_api.spec.lora import LoraSpec
from paft_api.spec.training import TrainingSpec
from paft_trainer.training.parameter_groups import needs_groups, parameter_groups


def plain_optimizer(
    model: torch.nn.Module, training: TrainingSpec, lora: LoraSpec
) -> tuple[type[torch.optim.Optimizer], dict[str, Any]]:
    """Class and keyword arguments of AdamW without a penalty, as the Trainer takes them."""
    options = adamw_options(training) | groups_where_needed(model, training, lora)
    if training.optimizer == "adamw_8bit":
        # Only there where it was built for the image's CUDA.
        from bitsandbytes.optim import AdamW

        return AdamW, options | {"optim_bits": 8}
    return torch.optim.AdamW, options


def adamw_options(training: TrainingSpec) -> dict[str, Any]:
    """Keyword arguments of torch's AdamW and of ours."""
    options: dict[str, Any] = {
        "lr": training.learning_rate,
        "betas": (training.adam_beta1, training.adam_beta2),
        "eps": training.adam_epsilon,
    }
    return options | ({"fused": True} if training.optimizer == "adamw_fused" else {})


def groups_where_needed(model: torch.nn.Module, training: TrainingSpec, lora: LoraSpec) -> dict[str, Any]:
    """`params` where the Trainer's own groups do not do."""
    return {"params": parameter_groups(model, training, lora)} if needs_groups(lora) else {}

"""Groups of an optimizer's parameters: A, B and what is trained whole differ in learning rate, decay and penalty."""

from enum import StrEnum
from typing import Any

import torch

from paft_api.spec.lora import LoraSpec
from paft_api.spec.training import TrainingSpec
from paft_trainer.training.adapter_state import adapter_parameters


class Factor(StrEnum):
    """A factor of ΔW = scale·B·A."""

    A = "A"
    B = "B"


def factor_of(name: str) -> Factor | None:
    """Which factor a parameter is, by PEFT's name of it; None for one of a module that is trained whole."""
    return next((factor for factor in Factor if f".lora_{factor}." in f".{name}"), None)


def parameter_groups(model: torch.nn.Module, training: TrainingSpec, lora: LoraSpec) -> list[dict[str, Any]]:
    """Groups as torch's optimizers take them.

    `factor`: which one the group holds, None for weights of modules that are trained whole; on these no penalty acts,
    and those with one dimension, norms and biases, do not decay. B has a group for each length of its rows, the rank.
    B's learning rate is loraplusLrRatio times that of all others (LoRA+, arXiv 2402.12354).
    """
    groups: dict[tuple[str, int], dict[str, Any]] = {}
    for name, parameter in adapter_parameters(model):
        factor = factor_of(name)
        kind = parameter.shape[-1] if factor is Factor.B else min(parameter.dim(), 2) if factor is None else 0
        group = groups.setdefault(
            (factor or "whole", kind),
            {
                "params": [],
                "factor": factor,
                "lr": training.learning_rate * ((lora.loraplus_lr_ratio or 1.0) if factor is Factor.B else 1.0),
                "weight_decay": 0.0 if factor is None and parameter.dim() < 2 else training.weight_decay,
            },
        )
        group["params"].append(parameter)
    return [groups[key] for key in sorted(groups)]


def needs_groups(lora: LoraSpec) -> bool:
    """Whether parameters differ in more than the Trainer's own groups tell."""
    return lora.loraplus_lr_ratio is not None or bool(lora.modules_to_save)

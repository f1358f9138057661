"""Pairs the gathered weights of an adapter up into the factors of each module."""

from collections.abc import Mapping

import torch
from peft.tuners.lora import LoraLayer

from paft_trainer.training.sparsity import Factors

ADAPTER_NAME = "default"
"""PEFT's name of the one adapter that is trained."""


def adapter_factors(model: torch.nn.Module, weights: Mapping[str, torch.Tensor]) -> dict[str, Factors]:
    """A and B of each adapted module of `model`, by its name, taken from whole `weights` by parameter name."""
    return {
        name: Factors(
            a=weights[f"{name}.lora_A.{ADAPTER_NAME}.weight"],
            b=weights[f"{name}.lora_B.{ADAPTER_NAME}.weight"],
            scale=float(module.scaling[ADAPTER_NAME]),
        )
        for name, module in model.named_modules()
        if isinstance(module, LoraLayer)
    }

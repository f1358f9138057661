"""Merges in float64, from the formulas of the papers, for models that fit into memory."""

import json
import math
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

Weights = dict[str, torch.Tensor]
"""Float64, by name."""


def load_weights(folder: Path) -> Weights:
    """All tensors of a checkpoint."""
    files = sorted(folder.glob("*.safetensors"))
    return {name: tensor.double() for file in files for name, tensor in load_file(file).items()}


def load_deltas(adapter: Path) -> Weights:
    """ΔW = alpha / r · B·A of every module, by the name of its weight."""
    configuration = json.loads((adapter / "adapter_config.json").read_text())
    factors = load_file(adapter / "adapter_model.safetensors")
    scale = configuration["lora_alpha"] / configuration["r"]
    deltas = {}
    for name, a in factors.items():
        if "lora_A" in name:
            b = factors[name.replace("lora_A", "lora_B")]
            weight = name.removeprefix("base_model.model.").replace(".lora_A", "")
            deltas[weight] = scale * (b.double() @ a.double())
    return deltas


def merge_exactly(method: str, deltas: tuple[torch.Tensor, torch.Tensor], density: float) -> torch.Tensor:
    """`linear`: the mean (arXiv 2203.05482). `ties`: trimmed, signs elected, disjoint mean (arXiv 2306.01708)."""
    if method == "linear":
        return (deltas[0] + deltas[1]) / 2
    first, second = (_trimmed(delta, density) for delta in deltas)
    sign = (first + second).sign()
    agreeing = [torch.where(delta.sign() == sign, delta, 0) for delta in (first, second)]
    count = (agreeing[0] != 0).double() + (agreeing[1] != 0)
    return (agreeing[0] + agreeing[1]) / count.clamp(min=1)


def round_to_bfloat16(weights: torch.Tensor) -> torch.Tensor:
    """To nearest even, in one step: the significand of bfloat16 has 8 bits."""
    values = weights.numpy()
    unit = np.exp2(np.frexp(values)[1] - 8.0)
    return torch.from_numpy(np.rint(values / unit) * unit)


def _trimmed(delta: torch.Tensor, density: float) -> torch.Tensor:
    kept = math.floor(density * delta.numel())
    threshold = delta.abs().ravel().kthvalue(delta.numel() - kept + 1).values
    return torch.where(delta.abs() >= threshold, delta, 0)

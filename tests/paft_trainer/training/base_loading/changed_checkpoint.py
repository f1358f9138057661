"""Checkpoints that differ from what save_pretrained writes."""

import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

Tensors = dict[str, torch.Tensor]


def change(source: Path, target: Path, edit: Callable[[Tensors], Tensors]) -> Path:
    """A copy of a checkpoint of one file, with other tensors."""
    shutil.copytree(source, target)
    save_file(edit(load_file(source / "model.safetensors")), target / "model.safetensors", metadata={"format": "pt"})
    return target

"""Checkpoints that differ from what save_pretrained writes."""

import os
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


def damage(path: Path, place: int) -> None:
    """Turn one bit of a file. Neither its size nor its time tell of it."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

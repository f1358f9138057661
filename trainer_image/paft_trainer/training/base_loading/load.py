"""The course of loading a base: empty, matched with the checkpoint, filled; or left to transformers."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from transformers.integrations.deepspeed import deepspeed_config, is_deepspeed_zero3_enabled

from paft_trainer.base.piece_source import PieceSource
from paft_trainer.training.base_loading.architecture import (
    OnlyTransformers,
    match_tensors,
    require_plain_configuration,
    require_plain_names,
    tie_weights,
)
from paft_trainer.training.base_loading.empty_model import build_empty_model, open_configuration
from paft_trainer.training.base_loading.stock import load_with_transformers
from paft_trainer.training.base_loading.whole_model import load_whole
from paft_trainer.training.base_loading.zero3_model import load_partitions, require_plain_partitions


def load_model(
    folder: Path,
    source: PieceSource,
    *,
    base_uri: str,
    dtype: torch.dtype,
    device: torch.device,
    whole_copy: Callable[[], Path],
) -> Any:
    """The base in `dtype`, each rank with its partition where the Trainer's arguments ask for ZeRO-3. Collective.

    `folder`: config.json and its like. `device`: of a model in one process. `whole_copy`: fetches the base as a folder,
    where transformers has to load it. Raises ArtifactMismatch, ObjectChanged and StorageError, under ZeRO-3 on every
    rank.
    """
    started = time.monotonic()
    try:
        model = _load_pieces(folder, source, base_uri=base_uri, dtype=dtype, device=device)
    except OnlyTransformers as reason:
        _tell(f"transformers loads {base_uri} from a whole local copy: {reason}")
        return load_with_transformers(whole_copy(), dtype, base_uri)
    read, ranks = _sum(source.bytes_read, device), dist.get_world_size() if dist.is_initialized() else 1
    _tell(f"{base_uri}: {read} bytes read by {ranks} ranks in {time.monotonic() - started:.2f} s, all of them verified")
    return model


def _load_pieces(folder: Path, source: PieceSource, *, base_uri: str, dtype: torch.dtype, device: torch.device) -> Any:
    configuration = open_configuration(folder)
    require_plain_configuration(configuration)
    if is_deepspeed_zero3_enabled():
        require_plain_partitions(deepspeed_config())
    tensors = source.index.tensors
    model = build_empty_model(configuration, folder, dtype)
    require_plain_names(model, dtype, tensors)
    for notice in tie_weights(model, tensors):
        _tell(notice)
    wanted = match_tensors(model, tensors, base_uri)
    if is_deepspeed_zero3_enabled():
        load_partitions(model, wanted, source, deepspeed_config())
    else:
        load_whole(model, wanted, source, device)
    return model


def _tell(message: str) -> None:
    """One line in the log of the whole world."""
    if not dist.is_initialized() or dist.get_rank() == 0:
        print(message, flush=True)


def _sum(count: int, device: torch.device) -> int:
    """Over all ranks."""
    total = torch.tensor(count, dtype=torch.int64, device=device)
    if dist.is_initialized():
        dist.all_reduce(total)
    return int(total)

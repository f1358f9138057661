"""The part of a checkpoint that one rank writes: its share of the adapter's state and its random states.

A safetensors file of flat tensors: `weights/<name>`, `exp_avg/<name>` and `exp_avg_sq/<name>`, fp32, names as in the
model, and `rng/cpu` and, on CUDA, `rng/cuda`, uint8. What the tensors are slices of is told by the trainer's state.
"""

import hashlib
from collections.abc import Mapping

import torch
from safetensors.torch import load as load_safetensors

from paft_trainer.keeping.saved_checkpoints import CheckpointFile
from paft_trainer.safetensors_files import encode_header
from paft_trainer.storage import ObjectStore
from paft_trainer.training.adapter_state import MOMENTS, AdapterShare

_WEIGHTS, _RANDOM = "weights", "rng"
_DTYPES = {torch.float32: "F32", torch.uint8: "U8"}


def write_part(
    store: ObjectStore, uri: str, share: AdapterShare, random_state: Mapping[str, torch.Tensor]
) -> CheckpointFile:
    """Stream it from the memory that it lies in; its size and SHA-256. Raises errors of the store."""
    tensors = _tensors(share, random_state)
    header = encode_header(
        [(name, _DTYPES[tensor.dtype], tuple(tensor.shape)) for name, tensor in tensors.items()], metadata={}
    )
    digest, size = hashlib.sha256(), 0
    with store.open_writer(uri) as writer:
        for content in (header, *(_bytes(tensor) for tensor in tensors.values() if tensor.numel())):
            digest.update(content)
            size += len(content)
            writer.write(content)
    return CheckpointFile(size=size, sha256=digest.hexdigest())


def read_part(
    content: bytes, *, shapes: Mapping[str, tuple[int, ...]], adam_step: int
) -> tuple[AdapterShare, dict[str, torch.Tensor]]:
    """The share and the random states in a part's bytes. `shapes`, `adam_step`: of the trainer's state."""
    groups: dict[str, dict[str, torch.Tensor]] = {}
    for key, tensor in load_safetensors(content).items():
        group, name = key.split("/", 1)
        groups.setdefault(group, {})[name] = tensor
    moments = {moment: groups[moment] for moment in MOMENTS if moment in groups}
    share = AdapterShare(shapes=dict(shapes), weights=groups[_WEIGHTS], moments=moments, adam_step=adam_step)
    return share, groups[_RANDOM]


def _tensors(share: AdapterShare, random_state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    groups = {_WEIGHTS: share.weights, **share.moments, _RANDOM: random_state}
    return {f"{group}/{name}": tensor for group, tensors in groups.items() for name, tensor in tensors.items()}


def _bytes(tensor: torch.Tensor) -> memoryview:
    """Of a flat tensor, without a copy."""
    return memoryview(tensor.view(torch.uint8).numpy())

"""What DeepSpeed's ZeRO-3 keeps on each process (ZeRO, arXiv 1910.02054; DeepSpeed 0.19).

The settings are those of `paft_trainer.training.deepspeed_configuration`, open to `training.deepspeed`; what is `auto`
there is filled in by transformers from the hidden size.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from paft_api.spec.training import TrainingSpec
from paft_cli.estimates.base_shape import BaseShape

_REUSE_DISTANCE = 1_000_000_000
"""DeepSpeed's default of stage3_max_reuse_distance, elements."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ZeroSettings:
    """`reuse_distance`, `reduce_bucket`, `prefetch`: elements. `offloads_*`: kept in the host's memory instead."""

    reuse_distance: int
    reduce_bucket: int
    prefetch: int
    offloads_parameters: bool
    offloads_optimizer: bool


def zero_settings(training: TrainingSpec, hidden_size: int) -> ZeroSettings:
    """`auto` is hidden² for the bucket, 0.9 of that for prefetching (transformers/integrations/deepspeed.py,
    `trainer_config_finalize`). `training.deepspeed` comes before its other fields."""
    zero = training.deepspeed.get("zero_optimization", {})
    square = hidden_size * hidden_size
    return ZeroSettings(
        reuse_distance=_count(zero.get("stage3_max_reuse_distance"), _REUSE_DISTANCE),
        reduce_bucket=_count(zero.get("reduce_bucket_size"), square),
        prefetch=_count(zero.get("stage3_prefetch_bucket_size"), int(0.9 * square)),
        offloads_parameters=_offloads(zero, "offload_param", training.offload_param),
        offloads_optimizer=_offloads(zero, "offload_optimizer", training.offload_optimizer),
    )


def sharded_bytes(parameters: int, *, processes: int, element_bytes: int) -> int:
    """Each process holds 1/N of every parameter (arXiv 1910.02054, section 5.3); the padding of parts is left out."""
    return math.ceil(parameters / processes) * element_bytes


def gathered_bytes(
    base: BaseShape, settings: ZeroSettings, *, processes: int, element_bytes: int, uses_per_pass: int
) -> int:
    """Parameters that are whole at once, beside the shards.

    A parameter that is used again within `stage3_max_reuse_distance` elements stays whole. At the turn from the
    forward to the backward pass those are the upper layers, each of which is passed `uses_per_pass` - 1 times before
    the one below is used again: once in backward alone, twice where checkpointing computes it again. One matrix that
    is in use and those being prefetched come on top. One process alone uses its shards as they are
    (`PartitionedParameterCoordinator`, `NoGatherCoalescedHandle`).
    """
    if processes == 1:
        return 0
    kept = settings.reuse_distance // uses_per_pass
    return min(base.parameters, kept + base.largest_tensor + settings.prefetch) * element_bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class AdapterMemory:
    """Bytes on the device of each process. `gradients`: averaged shares, and the bucket that they are reduced in."""

    weights: int
    master: int
    gradients: int
    optimizer: int


def adapter_memory(parameters: int, settings: ZeroSettings, *, processes: int, element_bytes: int) -> AdapterMemory:
    """The adapter's states, which are all that is trained.

    Weights and averaged gradients in the dtype of the model; fp32 master weights, which in fp32 are the weights
    themselves; AdamW's two moments in fp32; and for the length of a step the gradients in fp32 (arXiv 1910.02054,
    section 3.1; deepspeed/runtime/zero/stage3.py).
    """
    share = math.ceil(parameters / processes)
    on_device = 0 if settings.offloads_optimizer else 1
    return AdapterMemory(
        weights=share * element_bytes,
        master=0 if element_bytes == 4 else share * 4 * on_device,
        gradients=(share + settings.reduce_bucket) * element_bytes + share * 4 * on_device,
        optimizer=share * 8 * on_device,
    )


def _count(value: Any, default: int) -> int:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else default


def _offloads(zero: Mapping[str, Any], name: str, device: str) -> bool:
    if name not in zero:
        return device == "cpu"
    return isinstance(zero.get(name), Mapping) and zero[name].get("device", "cpu") in ("cpu", "nvme")

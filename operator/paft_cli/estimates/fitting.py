"""The passes of an arm that fit: as large as they can be, computed again only where they must."""

from dataclasses import dataclass, replace

from paft_cli.estimates.advice import TIGHT_SHARE
from paft_cli.estimates.arm_setting import ArmSetting
from paft_cli.estimates.memory import arm_memory

_LARGEST_PASS = 8
"""Rows of maxLength tokens beyond which a GPU has enough to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FittingPasses:
    """`peak`: bytes, with them. `fits`: False where nothing does, and these are the smallest."""

    micro_batch_size: int
    gradient_checkpointing: bool
    peak: int
    fits: bool


def fitting_passes(setting: ArmSetting, *, available: int) -> FittingPasses:
    """The largest pass that fits without checkpointing, which computes half as much again; else the largest with it."""
    smallest: FittingPasses | None = None
    for checkpointing in (False, True):
        for size in _pass_sizes(setting):
            smallest = _passes(setting, size, checkpointing=checkpointing, available=available)
            if smallest.fits:
                return smallest
    assert smallest is not None
    return smallest


def _passes(setting: ArmSetting, size: int, *, checkpointing: bool, available: int) -> FittingPasses:
    changes = {"micro_batch_size": size, "gradient_checkpointing": checkpointing}
    peak = arm_memory(replace(setting, training=setting.training.model_copy(update=changes))).peak
    return FittingPasses(
        micro_batch_size=size,
        gradient_checkpointing=checkpointing,
        peak=peak,
        fits=peak <= TIGHT_SHARE * available,
    )


def _pass_sizes(setting: ArmSetting) -> list[int]:
    """Powers of two, largest first, of which a step has whole ones."""
    sizes = [_LARGEST_PASS >> shift for shift in range(_LARGEST_PASS.bit_length())]
    batch = setting.training.global_batch_size
    return [size for size in sizes if batch % (setting.processes * size) == 0]

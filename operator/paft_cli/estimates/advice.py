"""Whether an arm fits, and which changes would make it fit."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from paft_cli.estimates.arm_setting import ArmSetting
from paft_cli.estimates.memory import arm_memory

TIGHT_SHARE = 0.9
"""Of the memory, above which an estimate that fits may still be wrong."""
_MOST_PROCESSES = 1024
_SHORTEST = 256
"""Tokens of a row below which nobody is told to go."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Advice:
    """`is_tight`: it fits, but with less room than the estimate's own error. `changes`: each of them alone, or the last
    one all together, lets it fit; empty where it does, or nothing would."""

    fits: bool
    is_tight: bool
    changes: tuple[str, ...] = ()


def advise(setting: ArmSetting, *, available: int, longest: int | None = None) -> Advice:
    """Compare the peak with what is there, and try changes in the order of what they cost."""
    peak = arm_memory(setting, longest=longest).peak
    if peak <= available:
        return Advice(fits=True, is_tight=peak > TIGHT_SHARE * available)
    fitting = tuple(
        words
        for alternatives in _changes(setting)
        if (words := next((words for words, changed in alternatives if _fits(changed, available, longest)), None))
    )
    return Advice(fits=False, is_tight=False, changes=fitting or _together(setting, available, longest))


def _fits(setting: ArmSetting, available: int, longest: int | None) -> bool:
    return arm_memory(setting, longest=longest).peak <= TIGHT_SHARE * available


def _changes(setting: ArmSetting) -> Iterator[Iterator[tuple[str, ArmSetting]]]:
    """Kinds of changes, those that keep the result first; of each kind the smallest change first."""
    yield _checkpointing(setting)
    yield _smaller_passes(setting)
    yield _more_processes(setting)
    yield _shorter_rows(setting)


def _checkpointing(setting: ArmSetting) -> Iterator[tuple[str, ArmSetting]]:
    if not setting.training.gradient_checkpointing:
        yield "training.gradientCheckpointing: true", _trained(setting, gradient_checkpointing=True)
        for size in _halves(setting.training.micro_batch_size):
            changed = _trained(setting, gradient_checkpointing=True, micro_batch_size=size)
            yield f"training.gradientCheckpointing: true with training.microBatchSize: {size}", changed


def _smaller_passes(setting: ArmSetting) -> Iterator[tuple[str, ArmSetting]]:
    for size in _halves(setting.training.micro_batch_size):
        yield f"training.microBatchSize: {size}", _trained(setting, micro_batch_size=size)


def _more_processes(setting: ArmSetting) -> Iterator[tuple[str, ArmSetting]]:
    training = setting.training
    for processes in _doubles(setting.processes):
        if training.global_batch_size % (processes * training.micro_batch_size) == 0:
            yield f"resources: {processes} processes (nodes × gpusPerNode)", replace(setting, processes=processes)


def _shorter_rows(setting: ArmSetting) -> Iterator[tuple[str, ArmSetting]]:
    for length in _halves(setting.training.max_length):
        if length >= _SHORTEST:
            yield f"training.maxLength: {length}, which cuts longer rows", _trained(setting, max_length=length)


def _together(setting: ArmSetting, available: int, longest: int | None) -> tuple[str, ...]:
    """Checkpointing, one row at a time and as few processes as then do."""
    smallest = _trained(setting, gradient_checkpointing=True, micro_batch_size=1)
    for processes in _doubles(setting.processes):
        changed = replace(smallest, processes=processes)
        if _fits(changed, available, longest):
            batch = -(-setting.training.global_batch_size // processes) * processes
            more = "" if batch == setting.training.global_batch_size else f" and training.globalBatchSize: {batch}"
            return (
                f"training.gradientCheckpointing: true with training.microBatchSize: 1 and resources: {processes} "
                f"processes (nodes × gpusPerNode){more}",
            )
    return ()


def _trained(setting: ArmSetting, **changes: object) -> ArmSetting:
    return replace(setting, training=setting.training.model_copy(update=changes))


def _halves(value: int) -> Iterator[int]:
    while value > 1:
        value //= 2
        yield value


def _doubles(value: int) -> Iterator[int]:
    while value < _MOST_PROCESSES:
        value *= 2
        yield value

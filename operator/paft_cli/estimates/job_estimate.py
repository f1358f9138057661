"""The whole estimate: both arms, their time, all bytes, and what to change where it does not fit."""

from collections.abc import Mapping
from dataclasses import dataclass

from paft_api.quantities import quantity_value
from paft_api.spec.arm import ArmSpec
from paft_api.spec.job import PaftJobSpec
from paft_cli.estimates.advice import Advice, advise
from paft_cli.estimates.arm_setting import ArmSetting, arm_setting
from paft_cli.estimates.base_shape import BaseShape
from paft_cli.estimates.data_size import DataSize
from paft_cli.estimates.memory import ArmMemory, arm_memory
from paft_cli.estimates.traffic import Flow, arm_flows, merge_flows, prepare_flows
from paft_cli.estimates.work import ArmWork, arm_work


@dataclass(frozen=True, kw_only=True, slots=True)
class Hardware:
    """`memory`: bytes of one GPU. `flops`: operations per second that one process reaches, None where nobody said."""

    memory: int
    flops: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmEstimate:
    """One arm. `available`: bytes that a process has. `seconds`: of computing, on all processes at once."""

    setting: ArmSetting
    memory: ArmMemory
    available: int
    data: DataSize
    work: ArmWork
    seconds: float | None
    advice: Advice

    @property
    def gpu_hours(self) -> float | None:
        """Hours of all its GPUs together; None on CPU, and where no rate is known."""
        if self.seconds is None or self.setting.device == "cpu":
            return None
        return self.seconds * self.setting.processes / 3600


@dataclass(frozen=True, kw_only=True, slots=True)
class JobEstimate:
    """Both arms by name, and what moves."""

    base: BaseShape
    arms: dict[str, ArmEstimate]
    flows: tuple[Flow, ...]

    @property
    def fits(self) -> bool:
        """Whether both arms do."""
        return all(arm.advice.fits for arm in self.arms.values())


def estimate_job(spec: PaftJobSpec, base: BaseShape, sizes: Mapping[str, DataSize], hardware: Hardware) -> JobEstimate:
    """`sizes`: of each arm's training rows. Raises CannotEstimate where the job does not go with the base."""
    arms = {
        name: _arm(name, arm, base, sizes[name], hardware)
        for name, arm in {"sft": spec.sft, "preference": spec.preference}.items()
    }
    flows = prepare_flows(base, dict(sizes))
    for name, estimate in arms.items():
        flows += arm_flows(name, estimate.setting, estimate.data, estimate.work)
    flows += merge_flows(spec, base, {name: estimate.setting for name, estimate in arms.items()})
    return JobEstimate(base=base, arms=arms, flows=tuple(flows))


def _arm(name: str, arm: ArmSpec, base: BaseShape, data: DataSize, hardware: Hardware) -> ArmEstimate:
    setting = arm_setting(base, arm, field=f"spec.{name}")
    work = arm_work(setting, data)
    available = available_bytes(arm, hardware)
    return ArmEstimate(
        setting=setting,
        memory=arm_memory(setting, longest=data.longest),
        available=available,
        data=data,
        work=work,
        seconds=work.flops / (hardware.flops * setting.processes) if hardware.flops else None,
        advice=advise(setting, available=available, longest=data.longest),
    )


def available_bytes(arm: ArmSpec, hardware: Hardware) -> int:
    """Of a GPU; without one a process's share of the pod's memory."""
    if arm.resources.gpus_per_node > 0:
        return hardware.memory
    return int(quantity_value(arm.resources.memory)) // arm.resources.resolved_processes_per_node

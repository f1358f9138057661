"""How many processes an arm gets, in a cluster and on one machine; the global batch is the same in both."""

from collections.abc import Mapping, Sequence

from paft_api.quantities import whole_cores
from paft_api.run_spec import World
from paft_api.spec.arm import ArmSpec
from paft_api.spec.job import PaftJobSpec
from paft_api.stages import ARMS, StageName


def cluster_world(arm: ArmSpec) -> World:
    """What the spec asks for. torch itself would take every core of the node, and not those that were asked for."""
    resources = arm.resources
    return World(
        nodes=resources.nodes,
        processes_per_node=resources.resolved_processes_per_node,
        device="cuda" if resources.gpus_per_node > 0 else "cpu",
        gradient_accumulation_steps=_accumulation(arm, resources.processes),
        threads_per_process=max(1, whole_cores(resources.cpu) // resources.resolved_processes_per_node),
    )


def local_worlds(spec: PaftJobSpec, *, cuda_devices: Sequence[int], cpus: int) -> dict[StageName, World]:
    """The processes of each arm on one machine.

    GPUs are shared out where there are as many as both arms ask for; where there are fewer, each arm gets all of them,
    and they run one after the other (`take_turns`). On CPU both run at the same time.
    """
    sft_devices, preference_devices = _share_out(
        cuda_devices, _wanted_devices(spec.sft), _wanted_devices(spec.preference)
    )
    return {
        StageName.SFT: local_world(spec.sft, cuda_devices=sft_devices, cpus=cpus),
        StageName.PREFERENCE: local_world(spec.preference, cuda_devices=preference_devices, cpus=cpus),
    }


def take_turns(worlds: Mapping[StageName, World]) -> bool:
    """Whether both arms would compute on one and the same device, so that only one of them can run at a time."""
    devices = [set(worlds[arm].visible_devices or ()) for arm in ARMS if arm in worlds]
    return len(devices) == len(ARMS) and bool(set.intersection(*devices))


def local_world(arm: ArmSpec, *, cuda_devices: Sequence[int], cpus: int, arms_sharing: int = 2) -> World:
    """What one machine can give, with the job's meaning kept by accumulation.

    `cuda_devices`: those this arm may use. `cpus`: cores of the machine, which `arms_sharing` arms share. The number of
    processes is the largest that is asked for, available, and divides the global batch.
    """
    use_cuda = arm.resources.gpus_per_node > 0 and len(cuda_devices) > 0
    available = len(cuda_devices) if use_cuda else max(1, cpus)
    processes = next(
        count
        for count in range(min(arm.resources.processes, available), 0, -1)
        if arm.training.global_batch_size % (count * arm.training.micro_batch_size) == 0
    )
    return World(
        nodes=1,
        processes_per_node=processes,
        device="cuda" if use_cuda else "cpu",
        gradient_accumulation_steps=_accumulation(arm, processes),
        threads_per_process=None if use_cuda else max(1, cpus // (processes * arms_sharing)),
        visible_devices=tuple(cuda_devices[:processes]) if use_cuda else None,
    )


def describe_world(stage: StageName, arm: ArmSpec, world: World) -> str:
    """One line for people: what was asked for, what there is, and how the batch is kept."""
    wanted = f"{arm.resources.processes} {_kind('cuda' if arm.resources.gpus_per_node > 0 else 'cpu')}"
    got = f"{world.processes} {_kind(world.device)}"
    change = "" if wanted == got else f" instead of {wanted}"
    return (
        f"{stage}: {got}{change}; {world.processes} × microBatchSize {arm.training.micro_batch_size} × "
        f"{world.gradient_accumulation_steps} accumulation steps = globalBatchSize {arm.training.global_batch_size}"
    )


def describe_order(worlds: Mapping[StageName, World]) -> str:
    """One line for people: whether the arms run at the same time, and why not."""
    if take_turns(worlds):
        return "arms: one after the other, for there are fewer GPUs than both ask for together"
    return "arms: both at the same time"


def _wanted_devices(arm: ArmSpec) -> int:
    return arm.resources.processes if arm.resources.gpus_per_node > 0 else 0


def _share_out(devices: Sequence[int], first: int, second: int) -> tuple[Sequence[int], Sequence[int]]:
    if first + second <= len(devices):
        return devices[:first], devices[first:]
    return devices, devices


def _kind(device: str) -> str:
    return "GPU processes" if device == "cuda" else "CPU processes"


def _accumulation(arm: ArmSpec, processes: int) -> int:
    return arm.training.global_batch_size // (processes * arm.training.micro_batch_size)

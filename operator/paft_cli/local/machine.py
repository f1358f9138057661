"""What this machine can give: CPU cores and CUDA devices, found without importing torch."""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from paft_api.run_spec import World
from paft_api.spec import PaftJob
from paft_api.stages import StageName
from paft_cli.errors import CommandError

_CGROUP_CPU_MAX = Path("/sys/fs/cgroup/cpu.max")


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """`cpus`: cores this process may use. `cuda_devices`: indices as in CUDA_VISIBLE_DEVICES, in PCI order."""

    cpus: int
    cuda_devices: tuple[int, ...]


def this_machine(environment: Mapping[str, str]) -> Machine:
    """The machine as the environment lets us use it. Raises CommandError for a CUDA_VISIBLE_DEVICES we cannot share."""
    return Machine(cpus=_cpus(), cuda_devices=_cuda_devices(environment) if _torch_has_cuda() else ())


def worlds_on(machine: Machine, job: PaftJob) -> dict[StageName, World]:
    """The processes of each arm on this machine."""
    from paft_operator.worlds import local_worlds

    return local_worlds(job.spec, cuda_devices=machine.cuda_devices, cpus=machine.cpus)


def _cpus() -> int:
    allowed = len(os.sched_getaffinity(0))
    if not _CGROUP_CPU_MAX.exists():
        return allowed
    quota, period = _CGROUP_CPU_MAX.read_text(encoding="utf-8").split()
    return allowed if quota == "max" else max(1, min(allowed, int(quota) // int(period)))


def _torch_has_cuda() -> bool:
    """Whether the installed torch is built for CUDA; read from its version file, for importing it takes seconds."""
    specification = importlib.util.find_spec("torch")
    if specification is None or specification.origin is None:
        return False
    text = Path(specification.origin).with_name("version.py").read_text(encoding="utf-8")
    return re.search(r"^cuda\b[^=]*= *['\"]", text, re.MULTILINE) is not None


def _cuda_devices(environment: Mapping[str, str]) -> tuple[int, ...]:
    chosen = environment.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return tuple(range(_count_devices()))
    names = [name.strip() for name in chosen.split(",") if name.strip()]
    if names == ["-1"]:
        return ()
    if not all(name.isdigit() for name in names):
        raise CommandError(
            f"CUDA_VISIBLE_DEVICES is {chosen!r}; the arms share devices by index: write indices such as 0,1"
        )
    return tuple(int(name) for name in names)


def _count_devices() -> int:
    program = shutil.which("nvidia-smi")
    if program is None:
        return 0
    listing = subprocess.run([program, "--list-gpus"], capture_output=True, text=True, check=False)
    return sum(line.startswith("GPU ") for line in listing.stdout.splitlines()) if listing.returncode == 0 else 0

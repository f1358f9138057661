"""Which arithmetic a machine has: a GPU's where torch sees one, else the kernels'."""

from pathlib import Path

from paft_trainer.merge.arithmetic import Arithmetic
from paft_trainer.merge.cpu_arithmetic import CpuArithmetic

NVIDIA_DRIVER = Path("/dev/nvidiactl")


def available_arithmetic() -> Arithmetic:
    """The fastest one."""
    if NVIDIA_DRIVER.exists():
        # torch takes 200 MB and a second, which machines without a GPU are spared.
        import torch

        from paft_trainer.merge.torch_arithmetic import TorchArithmetic

        if torch.cuda.is_available():
            return TorchArithmetic("cuda")
    return CpuArithmetic()

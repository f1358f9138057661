"""Which arithmetic a machine has: a GPU's where torch sees one, else the kernels'."""

import torch

from paft_trainer.merge.arithmetic import Arithmetic
from paft_trainer.merge.cpu_arithmetic import CpuArithmetic
from paft_trainer.merge.torch_arithmetic import TorchArithmetic


def available_arithmetic() -> Arithmetic:
    """The fastest one."""
    return TorchArithmetic("cuda") if torch.cuda.is_available() else CpuArithmetic()

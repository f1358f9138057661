"""Which arithmetic a machine has: a GPU's where torch sees one, else the kernels'."""

from paft_trainer.merge.arithmetic import Arithmetic
from paft_trainer.merge.cpu_arithmetic import CpuArithmetic


def available_arithmetic() -> Arithmetic:
    """The fastest one."""
    return CpuArithmetic()

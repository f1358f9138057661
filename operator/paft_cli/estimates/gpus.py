"""Accelerators: memory and dense bf16 rate with fp32 accumulation, from the vendors' data sheets.

Rates that data sheets give with sparsity are halved. Their GB are taken as 10⁹ bytes, which is a little less than the
device has, and about what it has left for tensors.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Gpu:
    """`memory`: bytes. `flops`: bf16 floating-point operations per second, dense. `source`: title of the data sheet."""

    memory: int
    flops: float
    source: str


GPUS: dict[str, Gpu] = {
    "a10": Gpu(memory=24 * 10**9, flops=125e12, source="NVIDIA A10 Tensor Core GPU data sheet"),
    "a100-40gb": Gpu(memory=40 * 10**9, flops=312e12, source="NVIDIA A100 Tensor Core GPU data sheet"),
    "a100": Gpu(memory=80 * 10**9, flops=312e12, source="NVIDIA A100 Tensor Core GPU data sheet"),
    "l4": Gpu(memory=24 * 10**9, flops=121e12, source="NVIDIA L4 Tensor Core GPU data sheet"),
    "l40s": Gpu(memory=48 * 10**9, flops=362e12, source="NVIDIA L40S GPU data sheet"),
    "h100": Gpu(memory=80 * 10**9, flops=989e12, source="NVIDIA H100 Tensor Core GPU data sheet, SXM"),
    "h100-pcie": Gpu(memory=80 * 10**9, flops=756e12, source="NVIDIA H100 PCIe GPU product brief"),
    "h100-nvl": Gpu(memory=94 * 10**9, flops=835e12, source="NVIDIA H100 Tensor Core GPU data sheet, NVL"),
    "h200": Gpu(memory=141 * 10**9, flops=989e12, source="NVIDIA H200 Tensor Core GPU data sheet, SXM"),
    "b200": Gpu(memory=180 * 10**9, flops=2250e12, source="NVIDIA HGX B200 data sheet"),
    "rtx4090": Gpu(memory=24 * 10**9, flops=165.2e12, source="NVIDIA Ada GPU Architecture white paper"),
}
"""By the name that --gpu takes."""

DEFAULT_GPU = "h100"

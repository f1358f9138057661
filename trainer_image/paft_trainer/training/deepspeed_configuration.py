"""DeepSpeed's configuration, built from the job so that nobody writes it by hand, and open to be overridden.

Source of the keys: DeepSpeed's configuration reference (https://www.deepspeed.ai/docs/config-json/).
"""

from collections.abc import Mapping
from typing import Any

from paft_api.run_spec import World
from paft_api.spec.training import TrainingSpec
from paft_trainer.errors import ConfigInvalid

_SET_BY_THE_JOB = {
    "train_batch_size": "training.globalBatchSize",
    "train_micro_batch_size_per_gpu": "training.microBatchSize",
    "gradient_accumulation_steps": "training.globalBatchSize and training.microBatchSize",
    "gradient_clipping": "training.maxGradNorm",
    "optimizer": "training.learningRate and sft.l1",
    "scheduler": "training.lrScheduler",
    "bf16": "training.precision",
    "fp16": "training.precision",
}


ZERO_PLUS_PLUS = (
    "zero_hpz_partition_size",
    "zero_quantized_weights",
    "zero_quantized_nontrainable_weights",
    "zero_quantized_gradients",
)
"""Settings of ZeRO++ (arXiv 2306.10209), whose kernels are CUDA's."""


def deepspeed_configuration(training: TrainingSpec, world: World) -> dict[str, Any]:
    """ZeRO-3 for one arm. Raises ConfigInvalid for overrides that contradict the job."""
    check_overrides(training.deepspeed)
    ours: dict[str, Any] = {
        "train_batch_size": training.global_batch_size,
        # A step's forward passes are ours to count, for packing makes them few: accelerate tells the engine at which
        # of them to update the weights (`set_gradient_accumulation_boundary`).
        "train_micro_batch_size_per_gpu": rows_per_process(training, world),
        "gradient_accumulation_steps": 1,
        "gradient_clipping": training.max_grad_norm,
        "bf16": {"enabled": computes_in_bf16(training, world)},
        **({"fp16": {"enabled": True}} if training.precision == "fp16" else {}),
        "zero_optimization": {
            **_offloading(training),
            "stage": 3,
            "overlap_comm": world.device == "cuda",
            "contiguous_gradients": True,
            "reduce_bucket_size": "auto",
            "stage3_prefetch_bucket_size": "auto",
            "stage3_param_persistence_threshold": "auto",
            "stage3_gather_16bit_weights_on_model_save": False,
        },
        # Our AdamW with its proximal step is an optimizer DeepSpeed has not seen, and must not be swapped for its own.
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "steps_per_print": 1_000_000_000,
        "wall_clock_breakdown": False,
    }
    return _merged(ours, training.deepspeed)


def check_overrides(overrides: dict[str, Any]) -> None:
    """Raises ConfigInvalid for settings that the job has a field for, for another ZeRO stage, and for what would take
    our optimizer or its state away."""
    for key, field in _SET_BY_THE_JOB.items():
        if key in overrides:
            raise ConfigInvalid(f"training.deepspeed.{key} is set by {field}", remedy=f"Remove {key} and set {field}.")
    zero = overrides.get("zero_optimization", {})
    if not isinstance(zero, dict):
        raise ConfigInvalid(
            f"training.deepspeed.zero_optimization is {zero!r}, not a map", remedy="Write it as a map of settings."
        )
    if zero.get("stage", 3) != 3:
        raise ConfigInvalid(
            f"training.deepspeed.zero_optimization.stage is {zero['stage']}; the arms train with ZeRO-3 only",
            remedy="Remove stage, or set it to 3.",
        )
    if overrides.get("zero_force_ds_cpu_optimizer", False) is not False:
        raise ConfigInvalid(
            "training.deepspeed.zero_force_ds_cpu_optimizer would put DeepSpeed's own Adam in the place of ours, which "
            "makes the adapter sparse",
            remedy="Remove it; offloading works with our optimizer too.",
        )
    offloaded = zero.get("offload_optimizer", {})
    if isinstance(offloaded, dict) and offloaded.get("device") == "nvme":
        raise ConfigInvalid(
            "training.deepspeed.zero_optimization.offload_optimizer.device is nvme, where checkpoints do not reach the "
            "optimizer's state",
            remedy="Use training.offloadOptimizer cpu.",
        )


def is_on(zero: Mapping[str, Any], name: str) -> bool:
    """Whether a setting of ZeRO++ has an effect: a switch that is on, or a partition of more than one process."""
    value = zero.get(name, False)
    return value is True or (isinstance(value, int) and value > 1)


def check_quantized(overrides: dict[str, Any], device: str) -> None:
    """Raises ConfigInvalid for ZeRO++ on CPUs. `overrides`: such as `check_overrides` lets pass."""
    zero = overrides.get("zero_optimization", {})
    found = next((name for name in ZERO_PLUS_PLUS if is_on(zero, name)), None)
    if found is not None and device == "cpu":
        raise ConfigInvalid(
            f"training.deepspeed.zero_optimization.{found} needs GPUs, and the arm trains on CPUs",
            remedy=f"Remove {found}, or set resources.gpusPerNode.",
        )


def _offloading(training: TrainingSpec) -> dict[str, Any]:
    places = {"offload_optimizer": training.offload_optimizer, "offload_param": training.offload_param}
    return {name: {"device": place, "pin_memory": True} for name, place in places.items() if place != "none"}


def rows_per_process(training: TrainingSpec, world: World) -> int:
    """Rows of an optimizer step that each process computes, in however many forward passes."""
    return training.global_batch_size // world.processes


def computes_in_bf16(training: TrainingSpec, world: World) -> bool:
    """Whether the model computes in bf16: on CUDA unless told otherwise, on CPU only when told to."""
    return precision_of(training, world) == "bf16"


def precision_of(training: TrainingSpec, world: World) -> str:
    """What the model computes in: bf16, fp16 or fp32."""
    if training.precision == "auto":
        return "bf16" if world.device == "cuda" else "fp32"
    return training.precision


def _merged(base: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in overrides.items():
        inner = result.get(key)
        result[key] = _merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return result

"""What of spec.*.training cannot be, for reasons that the spec alone does not tell: devices, libraries, schedules."""

import importlib.util
import inspect
import math
from collections.abc import Callable, Mapping

import torch
from transformers import get_scheduler
from transformers.optimization import TYPE_TO_SCHEDULER_FUNCTION
from transformers.trainer_utils import SchedulerType

from paft_api.spec.arm import ArmSpec
from paft_api.spec.sft import SftSpec
from paft_trainer.errors import ConfigInvalid
from paft_trainer.training.deepspeed_configuration import check_overrides, check_quantized

_GIVEN = {"optimizer", "num_warmup_steps", "num_training_steps", "last_epoch"}
"""Arguments of transformers' schedules that are the Trainer's own."""


def _check_deepspeed(arm: ArmSpec) -> None:
    check_overrides(arm.training.deepspeed)
    check_quantized(arm.training.deepspeed, "cpu" if _is_on_cpu(arm) else "cuda")


def _check_schedule(arm: ArmSpec) -> None:
    """Builds the schedule for a hundred steps, as the arm will for its own."""
    training = arm.training
    known = inspect.signature(TYPE_TO_SCHEDULER_FUNCTION[SchedulerType(training.lr_scheduler)]).parameters
    options = sorted(known.keys() - _GIVEN)
    unknown = next((name for name in training.lr_scheduler_kwargs if name not in options), None)
    if unknown is not None:
        raise ConfigInvalid(
            f"lrSchedulerKwargs {unknown!r} is no option of the schedule {training.lr_scheduler}",
            remedy=f"It has {', '.join(options)}." if options else "It has none; remove it.",
        )
    try:
        schedule = get_scheduler(
            training.lr_scheduler,
            torch.optim.SGD([torch.zeros(1)], lr=training.learning_rate),
            num_warmup_steps=math.ceil(100 * training.warmup_ratio),
            num_training_steps=100,
            scheduler_specific_kwargs=dict(training.lr_scheduler_kwargs),
        )
        rates = [rate(step) for rate in schedule.lr_lambdas for step in (0, 50, 99)]
    except (TypeError, ValueError, ArithmeticError) as error:
        raise ConfigInvalid(
            f"lrScheduler {training.lr_scheduler} with lrSchedulerKwargs {training.lr_scheduler_kwargs}: {error}",
            remedy=f"Its options are {', '.join(options)}.",
        ) from error
    if not all(0 <= rate < math.inf for rate in rates):
        raise ConfigInvalid(
            f"lrScheduler {training.lr_scheduler} with lrSchedulerKwargs {training.lr_scheduler_kwargs} gives learning "
            "rates below 0 or without end",
            remedy="Correct the options.",
        )


def _check_precision(arm: ArmSpec) -> None:
    if arm.training.precision == "fp16" and _is_on_cpu(arm):
        raise ConfigInvalid(
            "precision fp16 needs GPUs, and the arm trains on CPUs",
            remedy="Use bf16 or fp32, or set resources.gpusPerNode.",
        )


def _check_optimizer(arm: ArmSpec) -> None:
    if arm.training.optimizer != "adamw_8bit":
        return
    if isinstance(arm, SftSpec) and arm.l1.mode == "proximal":
        raise ConfigInvalid(
            "optimizer adamw_8bit has no proximal step, which makes the adapter sparse",
            remedy="Use adamw or adamw_fused, or l1.mode subgradient or none.",
        )
    _require_gpus(arm, "optimizer adamw_8bit")
    _require_library("bitsandbytes", "optimizer adamw_8bit")


def _check_liger(arm: ArmSpec) -> None:
    if arm.training.use_liger_kernel:
        _require_gpus(arm, "useLigerKernel")
        _require_library("liger_kernel", "useLigerKernel")


def _check_compile(arm: ArmSpec) -> None:
    if arm.training.torch_compile:
        _require_gpus(arm, "torchCompile")


TRAINING_CHECKS: Mapping[str, Callable[[ArmSpec], None]] = {
    "deepspeed": _check_deepspeed,
    "lrScheduler": _check_schedule,
    "precision": _check_precision,
    "optimizer": _check_optimizer,
    "useLigerKernel": _check_liger,
    "torchCompile": _check_compile,
}
"""By field: what raises ConfigInvalid where the arm could not train so."""


def _is_on_cpu(arm: ArmSpec) -> bool:
    return arm.resources.gpus_per_node == 0


def _require_gpus(arm: ArmSpec, what: str) -> None:
    if _is_on_cpu(arm):
        raise ConfigInvalid(
            f"{what} needs GPUs, and the arm trains on CPUs", remedy="Leave it out, or set resources.gpusPerNode."
        )


def _require_library(name: str, what: str) -> None:
    if importlib.util.find_spec(name) is None:
        raise ConfigInvalid(
            f"{what} needs the Python package {name}, which the trainer image does not have",
            remedy="Leave it out, or use an image with it (spec.trainer.image).",
        )

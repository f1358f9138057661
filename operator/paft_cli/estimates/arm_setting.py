"""One arm as the formulas see it."""

import re
from dataclasses import dataclass
from typing import Literal

from paft_api.spec.arm import ArmSpec
from paft_api.spec.lora import LoraSpec
from paft_api.spec.preference import PreferenceSpec
from paft_api.spec.training import TrainingSpec
from paft_cli.estimates.adapter import adapted_modules, adapter_parameters, whole_parameters
from paft_cli.estimates.base_shape import BaseShape, LinearShape
from paft_cli.estimates.errors import CannotEstimate


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmSetting:
    """What an arm computes with. `modules`: those that are adapted. `sequences_per_row`: 2 for pairs.
    `has_reference`: the base's own log-probabilities are computed first."""

    base: BaseShape
    modules: tuple[LinearShape, ...]
    lora: LoraSpec
    training: TrainingSpec
    processes: int
    device: Literal["cuda", "cpu"]
    sequences_per_row: int
    has_reference: bool

    @property
    def adapter_parameters(self) -> int:
        """Elements of all factors, and of the modules that are trained whole."""
        return adapter_parameters(self.modules, self.lora) + whole_parameters(self.base, self.lora)

    @property
    def element_bytes(self) -> int:
        """Of weights and activations: 2 for bf16 and fp16, 4 for fp32."""
        precision = self.training.precision
        return 2 if precision in ("bf16", "fp16") or (precision == "auto" and self.device == "cuda") else 4

    def tokens_per_pass(self, longest: int | None = None) -> int:
        """Most tokens that a process computes at once. `longest`: tokens of the longest sequence, where it is known.

        A packed pass is filled up to microBatchSize × maxLength, but never has more rows than the step gives a process.
        """
        training = self.training
        length = min(training.max_length, longest or training.max_length)
        limit = training.micro_batch_size * self.sequences_per_row
        if not training.packing:
            return limit * length
        rows = training.global_batch_size // self.processes * self.sequences_per_row
        return min(limit * training.max_length, rows * length)


def arm_setting(base: BaseShape, arm: ArmSpec, *, field: str) -> ArmSetting:
    """The arm in a cluster, as its resources say. `field`: of the arm in the job, for errors.

    Raises CannotEstimate where nothing is adapted.
    """
    return ArmSetting(
        base=base,
        modules=_modules(base, arm.lora, field),
        lora=arm.lora,
        training=arm.training,
        processes=arm.resources.processes,
        device="cuda" if arm.resources.gpus_per_node > 0 else "cpu",
        sequences_per_row=2 if isinstance(arm, PreferenceSpec) else 1,
        has_reference=isinstance(arm, PreferenceSpec) and arm.method == "dpo",
    )


def _modules(base: BaseShape, lora: LoraSpec, field: str) -> tuple[LinearShape, ...]:
    try:
        modules = adapted_modules(base, lora)
    except re.error as error:
        raise CannotEstimate(
            f"{field}.lora: {error.pattern!r} is no regular expression: {error}", remedy="Correct it."
        ) from error
    if not modules:
        names = sorted({linear.name.rpartition(".")[2] for linear in base.linears})
        wanted = lora.target_modules_pattern or list(lora.target_modules)
        raise CannotEstimate(
            f"{field}.lora adapts no linear module of the base; its targets are {wanted}",
            remedy=f"The base has {', '.join(names)}.",
        )
    return modules

"""The adapter: which modules it adapts, and how many parameters that gives."""

from collections.abc import Sequence

from paft_api.spec.lora import LoraSpec
from paft_cli.estimates.base_shape import BaseShape, LinearShape


def adapted_modules(base: BaseShape, lora: LoraSpec) -> tuple[LinearShape, ...]:
    """The linear modules that `targetModules` names, by the ends of their names, as PEFT matches a list."""
    targets = lora.target_modules
    if targets == ("all-linear",):
        return base.linears
    return tuple(
        linear
        for linear in base.linears
        if any(linear.name == target or linear.name.endswith(f".{target}") for target in targets)
    )


def adapter_parameters(modules: Sequence[LinearShape], r: int) -> int:
    """Elements of A (r × inputs) and B (outputs × r) of all modules (LoRA, arXiv 2106.09685, section 4.1)."""
    return sum(r * (module.inputs + module.outputs) for module in modules)

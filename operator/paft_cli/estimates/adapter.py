"""The adapter: which modules it adapts or trains whole, and how many parameters that gives."""

from collections.abc import Sequence

from paft_api import adapter_modules
from paft_api.spec.lora import LoraSpec
from paft_cli.estimates.base_shape import BaseShape, LinearShape


def adapted_modules(base: BaseShape, lora: LoraSpec) -> tuple[LinearShape, ...]:
    """The linear modules that get factors."""
    names = set(adapter_modules.adapted_modules([linear.name for linear in base.linears], lora))
    return tuple(linear for linear in base.linears if linear.name in names)


def adapter_parameters(modules: Sequence[LinearShape], lora: LoraSpec) -> int:
    """Elements of A (r × inputs) and B (outputs × r) of all modules (LoRA, arXiv 2106.09685, section 4.1)."""
    return sum(adapter_modules.rank_of(module.name, lora) * (module.inputs + module.outputs) for module in modules)


def whole_parameters(base: BaseShape, lora: LoraSpec) -> int:
    """Elements of the modules that are trained whole; the adapter has a copy of each."""
    return sum(base.modules[name] for name in adapter_modules.saved_modules(base.modules, lora))

"""How one merge wants the deltas of each tensor: factors, weights of its module, and balance between the arms."""

from collections.abc import Callable, Mapping
from functools import cache, lru_cache

from paft_api.spec.merge_options import MergeOptions
from paft_trainer.adapters import Factors
from paft_trainer.merge.inputs import MergeInputs
from paft_trainer.merge.lengths import Lengths, lengths_of, sum_of
from paft_trainer.merge.method import ARMS, TensorArms
from paft_trainer.merge.module_weights import last_layer, module_weights
from paft_trainer.merge.rows import Rows
from paft_trainer.merge.shards import SourceTensor

LengthsOf = Callable[[str], Lengths]


def arms_of_tensors(
    options: MergeOptions, inputs: MergeInputs, lengths: LengthsOf | None = None
) -> Callable[[SourceTensor], TensorArms]:
    """For each tensor that gets a delta. `lengths`: of a module's deltas, where they are kept for several merges."""
    lengths = lengths or lengths_of_modules(inputs)
    last = last_layer(tensor.entry.name for tensor in inputs.base.tensors)
    balance = _balance(options, inputs, lengths)

    @cache
    def arms(tensor: SourceTensor) -> TensorArms:
        module = tensor.entry.name.removesuffix(".weight")
        height, columns = tensor.entry.shape
        first, second = _factors(inputs, module)
        return TensorArms(
            name=tensor.entry.name,
            rows=Rows(start=0, stop=height, columns=columns),
            factors=(first, second),
            weights=module_weights(options.weights, module, last=last),
            balance=balance(module),
            lengths=lengths(module),
        )

    return arms


def lengths_of_modules(inputs: MergeInputs) -> LengthsOf:
    """Computed once for each module."""
    return lru_cache(maxsize=None)(lambda module: lengths_of(*_factors(inputs, module)))


def _factors(inputs: MergeInputs, module: str) -> tuple[Factors | None, Factors | None]:
    first, second = (_acting(inputs.adapters[arm].modules, module) for arm in ARMS)
    return first, second


def _acting(modules: Mapping[str, Factors], module: str) -> Factors | None:
    """None for factors that cannot change anything."""
    factors = modules.get(module)
    return None if factors is None or factors.is_zero else factors


def _balance(options: MergeOptions, inputs: MergeInputs, lengths: LengthsOf) -> Callable[[str], tuple[float, float]]:
    match options.balance:
        case "Tensor":
            return lambda module: _equally_long(lengths(module))
        case "Model":
            modules = sorted(name.removesuffix(".weight") for name in inputs.merged_names)
            factors = _equally_long(sum_of([lengths(module) for module in modules]))
            return lambda module: factors
        case _:
            return lambda module: (1.0, 1.0)


def _equally_long(lengths: Lengths) -> tuple[float, float]:
    """Factors that give both deltas the mean of their lengths; a delta of length 0 leaves the other as it is."""
    first, second = lengths.lengths
    if first == 0 or second == 0:
        return 1.0, 1.0
    mean = (first + second) / 2
    return mean / first, mean / second

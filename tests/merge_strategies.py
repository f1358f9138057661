"""Random deltas and random options of every merge method, for property tests."""

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies
from tests.merge_references import Reference, reference_merge
from tests.merged_matrices import MODULE, factors_of, merge_factors, merge_matrices, options_of

from paft_api.spec.merge import MergeOptions

Matrix = np.ndarray

_MAGNITUDES = st.floats(2.0**-10, 128, width=32)
ENTRIES = st.one_of(
    st.sampled_from([0.0, 0.0, 0.5, 1.0, 2.0, -0.5, -1.0, -2.0]), _MAGNITUDES, _MAGNITUDES.map(lambda value: -value)
)
"""Zeros, few magnitudes that occur often, and many that occur once."""
PAIRS = st.tuples(st.integers(1, 6), st.integers(1, 9)).flatmap(
    lambda shape: numpy_strategies.arrays(np.float32, (2, *shape), elements=ENTRIES)
)
"""Two deltas of one shape."""
CHUNKS = st.integers(1, 60)
DENSITIES = st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 1))

_ANY = st.sampled_from([-2.0, -1.0, -0.5, 0.0, 0.25, 0.5, 1.0, 1.0, 1.5, 2.0])
_POSITIVE = st.sampled_from([0.25, 0.5, 1.0, 1.0, 2.0])
_PRESETS = {"preset": st.sampled_from(["paft", "mergekit"]), "lambda": st.sampled_from([-1.0, 0.5, 1.0, 1.0, 2.0])}
_BALANCE = {"balance": st.sampled_from(["None", "Tensor", "Model"])}
_DENSITY = {"density": DENSITIES}
_DROPS = {"seed": st.integers(0, 9), "rescale": st.sampled_from(["Density", "Norm", "None"])}
_ELECTS = {"election": st.sampled_from(["Weighted", "Unweighted"]), "normalize": st.booleans()}

_FIELDS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "linear": _BALANCE,
    "task_arithmetic": _BALANCE,
    "ties": _DENSITY | _ELECTS | _BALANCE,
    "dare_linear": _DENSITY | _DROPS | _BALANCE,
    "dare_ties": _DENSITY | _DROPS | _ELECTS | _BALANCE,
    "della": _DENSITY | _DROPS | _ELECTS | _BALANCE,
    "breadcrumbs": _DENSITY | {"gamma": st.sampled_from([0.0, 0.01, 0.1, 0.5, 0.99, 1.0])} | _BALANCE,
    "slerp": {"wholeWeights": st.booleans()} | _BALANCE,
    "sce": _DENSITY,
    "model_stock": {},
    "sft_only": {},
    "preference_only": {},
}
ALL_METHODS = tuple(_FIELDS)

_HAS_WEIGHTS = frozenset(ALL_METHODS) - {"sce", "model_stock"}


@st.composite
def options_with(draw: st.DrawFn, method: str) -> MergeOptions:
    """Options of one method, all of which act."""
    fields = draw(st.fixed_dictionaries(_PRESETS | _FIELDS[method]))
    if method in _HAS_WEIGHTS:
        one = _POSITIVE if method in ("linear", "slerp") else _ANY
        fields["weights"] = [{"sft": draw(one), "preference": draw(one)}]
    return options_of(method, **fields)


def reference_of(pair: Matrix, options: MergeOptions, base: Matrix | None = None) -> Reference:
    """Of one tensor with exact deltas."""
    name = f"{MODULE}.weight"
    weights = options.weights[0]
    found = reference_merge(
        options,
        {name: (pair[0], pair[1])},
        weights=lambda _: (weights.sft, weights.preference),
        bases={name: np.zeros_like(pair[0]) if base is None else base},
        slack=0.0,
    )
    return found[name]


def assert_is_reference(pair: Matrix, options: MergeOptions, *, chunk_elements: int) -> None:
    """The merged delta is the formula's within fp32's roundings."""
    merged = merge_matrices(*pair, options, chunk_elements=chunk_elements)
    reference = reference_of(pair, options)
    error = np.abs(merged.astype(np.float64) - reference.delta)
    allowed = 2e-6 * reference.scale + 1e-30
    assert (error <= allowed)[reference.decided].all()


def assert_same_bits(one: Matrix, other: Matrix) -> None:
    """All bits, but that 0 may have either sign."""
    assert np.array_equal(one + np.float32(0), other + np.float32(0))


def merged_alone(delta: Matrix, options: MergeOptions, *, arm: int) -> Matrix:
    """A merge in which only one arm adapts the module."""
    pair = [factors_of(delta) if index == arm else None for index in range(2)]
    (merged,) = merge_factors([options], *pair)
    return merged.values

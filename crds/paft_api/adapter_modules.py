"""Which modules of a base an adapter changes, told from their full names: PEFT's rules.

A pure function of names, so that what trains and what estimates agree. Patterns are those of a spec that was checked.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from paft_api.spec.lora import LoraSpec

ALL_LINEAR = "all-linear"

Value = TypeVar("Value")


def adapted_modules(linear: Sequence[str], lora: LoraSpec) -> tuple[str, ...]:
    """Those of `linear`, the base's linear modules without the head, that get factors; in the same order."""
    return tuple(name for name in _targets(linear, lora) if not is_excluded(name, lora) and _is_in_layers(name, lora))


def saved_modules(whole: Iterable[str], lora: LoraSpec) -> tuple[str, ...]:
    """Those of `whole`, the base's modules with weights and no modules inside, that are trained whole."""
    return tuple(name for name in whole if is_named(name, lora.modules_to_save))


def rank_of(name: str, lora: LoraSpec) -> int:
    """The rank of a module's factors."""
    return by_pattern(lora.rank_pattern, name, lora.r)


def by_pattern(patterns: Mapping[str, Value], name: str, default: Value) -> Value:
    """PEFT's rule (get_pattern_key): the first key that matches the end of the module's name, after a dot; where none
    does, a key that is the name."""
    matching = (value for key, value in patterns.items() if re.match(at_the_end(key), name))
    return next(matching, patterns.get(name, default))


def at_the_end(key: str) -> str:
    """The expression of a key of rankPattern or alphaPattern."""
    return rf"(.*\.)?({key})$"


def is_named(name: str, wanted: Sequence[str]) -> bool:
    """Whether it is one of these names, or ends in one from a dot on."""
    return any(name == one or name.endswith(f".{one}") for one in wanted)


def is_excluded(name: str, lora: LoraSpec) -> bool:
    """Whether it gets no factors, whatever names it as a target."""
    return is_named(name, (*lora.exclude_modules, *lora.modules_to_save))


def layer_of(name: str, lists: Sequence[str]) -> int | None:
    """The first number in a name that comes after a name, or after one of `lists`; None where there is none."""
    patterns = [rf"(?:^|.*?\.){re.escape(one)}\.(?P<layer>\d+)\." for one in lists] or [r".*?\.[^.]*\.(?P<layer>\d+)\."]
    found = next((match for pattern in patterns if (match := re.match(pattern, name))), None)
    return None if found is None else int(found["layer"])


def _targets(linear: Sequence[str], lora: LoraSpec) -> Sequence[str]:
    pattern = lora.target_modules_pattern
    if pattern is not None:
        return [name for name in linear if re.fullmatch(pattern, name)]
    if lora.target_modules == (ALL_LINEAR,):
        return linear
    return [name for name in linear if is_named(name, lora.target_modules)]


def _is_in_layers(name: str, lora: LoraSpec) -> bool:
    return not lora.layers_to_transform or layer_of(name, lora.layers_pattern) in lora.layers_to_transform

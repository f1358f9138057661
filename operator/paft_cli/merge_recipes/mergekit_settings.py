"""Settings of mergekit's parameters: numbers, gradients over layers, and either for tensors that a filter fits.

mergekit looks through a parameter's settings in order, those of a model before those of the whole merge, and takes the
first whose filter is part of the tensor's name (`mergekit.config.evaluate_setting`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from paft_api.yaml_documents import FieldPath, Json

_SUFFIX = ".weight"
"""What tensors' names have and modules' have not."""


class NotExpressible(Exception):
    """Something in mergekit's YAML that a merge of two adapters cannot have. Raised with its path and why."""

    def __init__(self, path: FieldPath, message: str) -> None:
        super().__init__(message)
        self.path = path


@dataclass(frozen=True, slots=True)
class Setting:
    """One value, for the tensors that `filter` fits; None for all. A gradient has more than one anchor."""

    path: FieldPath
    filter: str | None
    anchors: tuple[float, ...]


def settings_in(parameters: Json, name: str, path: FieldPath) -> Iterator[Setting]:
    """The settings of a parameter in a `parameters` block at `path`, in the order in which they are tried."""
    if not isinstance(parameters, dict) or name not in parameters:
        return
    value, path = parameters[name], (*path, name)
    entries: list[tuple[FieldPath, Json]] = [(path, value)]
    if isinstance(value, list) and any(isinstance(entry, dict) for entry in value):
        entries = [((*path, index), entry) for index, entry in enumerate(value)]
    for place, entry in entries:
        if isinstance(entry, dict):
            yield _conditional(entry, place)
        elif entry != []:
            yield Setting(place, None, _anchors(entry, place))


def until_all_is_set(settings: Sequence[Setting], *, missing: FieldPath) -> list[Setting]:
    """Without what comes after a setting for all tensors. Raises NotExpressible where there is none."""
    for index, setting in enumerate(settings):
        if setting.filter is None:
            return list(settings[: index + 1])
    raise NotExpressible(missing, f"{missing[-1]} is needed for all tensors; add it, last and without a filter")


def the_one_number(settings: Sequence[Setting], default: float) -> float:
    """The number of a parameter that has one for all tensors. Raises NotExpressible for filters and gradients."""
    if not settings:
        return default
    setting = settings[0]
    if setting.filter is not None or len(setting.anchors) > 1:
        raise NotExpressible(setting.path, "filters and gradients can be read for weight and t only; give one number")
    return setting.anchors[0]


def patterns_of(text: str) -> list[str]:
    """Patterns of module names that fit exactly where `text` is part of the module's tensor's name.

    A tensor's name is its module's and `.weight`, so that a filter may also begin in one and end in the other.
    """
    patterns = [f"*{_literal(text)}*"]
    for length in range(1, len(_SUFFIX) + 1):
        if text.endswith(_SUFFIX[:length]):
            patterns.append(f"*{_literal(text[: len(text) - length])}")
    return patterns


def _conditional(entry: dict[str, Json], path: FieldPath) -> Setting:
    unknown = next((key for key in entry if key not in ("value", "filter")), None)
    if unknown is not None or "value" not in entry:
        raise NotExpressible(path, "a conditional setting has value and, if not for all tensors, filter")
    text = entry.get("filter")
    if text is not None and not isinstance(text, str):
        raise NotExpressible((*path, "filter"), f"{text} is not text; put it in quotes")
    # Part of `.weight`, it is part of every tensor's name.
    is_for_all = text is None or text == "*" or text in _SUFFIX
    return Setting(path, None if is_for_all else text, _anchors(entry["value"], (*path, "value")))


def _anchors(value: Json, path: FieldPath) -> tuple[float, ...]:
    values = value if isinstance(value, list) else [value]
    numbers = [one for one in values if isinstance(one, int | float) and not isinstance(one, bool)]
    if len(numbers) != len(values) or not values:
        raise NotExpressible(path, f"{value} is neither a number nor a list of numbers")
    return tuple(float(number) for number in numbers)


def _literal(text: str) -> str:
    return "".join(f"[{character}]" if character in "*?[" else character for character in text)

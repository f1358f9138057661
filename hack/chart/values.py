"""The chart's values.yaml with its comments: `# -- description` and `# @schema {...}` above each key."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

_DESCRIPTION = "# -- "
_SCHEMA = "# @schema "


class UndescribedValue(ValueError):
    """A value without a comment, or whose type cannot be told."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Value:
    """One value or block of values.

    `children` is empty for a value. `schema`: JSON Schema as written, or the type of the default.
    """

    name: str
    path: str
    description: str
    default: Any
    schema: dict[str, Any]
    children: tuple["Value", ...] = ()


def read_values(text: str) -> tuple[Value, ...]:
    """All values of a values.yaml, in its order."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode)
    return tuple(_values(root, text.splitlines(), path=""))


def leaves(values: tuple[Value, ...]) -> Iterator[Value]:
    """The values themselves, without the blocks around them."""
    for value in values:
        yield from leaves(value.children) if value.children else (value,)


def _values(node: yaml.MappingNode, lines: list[str], *, path: str) -> Iterator[Value]:
    for key, inner in node.value:
        name = key.value
        place = f"{path}.{name}" if path else name
        description, schema = _comment(lines[: key.start_mark.line], key.start_mark.column, place)
        default = yaml.load(yaml.serialize(inner), Loader=yaml.SafeLoader)
        if schema is None and isinstance(inner, yaml.MappingNode) and inner.value:
            children = tuple(_values(inner, lines, path=place))
            yield Value(name=name, path=place, description=description, default=default, schema={}, children=children)
            continue
        if not description:
            raise UndescribedValue(f"{place} has no description; write `{_DESCRIPTION}...` above it")
        yield Value(
            name=name,
            path=place,
            description=description,
            default=default,
            schema=schema if schema is not None else {"type": _type(default, place)},
        )


def _comment(above: list[str], indent: int, place: str) -> tuple[str, dict[str, Any] | None]:
    """Description and schema from the comment that ends right above a key."""
    block: list[str] = []
    for line in reversed(above):
        if not re.match(rf" {{{indent}}}#", line):
            break
        block.insert(0, line.strip())
    words = [line for line in block if not line.startswith(_SCHEMA)]
    schemas = [line.removeprefix(_SCHEMA) for line in block if line.startswith(_SCHEMA)]
    if words and not words[0].startswith(_DESCRIPTION):
        raise UndescribedValue(f"the comment of {place} does not begin with `{_DESCRIPTION}`")
    description = " ".join(word.removeprefix(_DESCRIPTION).removeprefix("#").strip() for word in words)
    return description, yaml.safe_load(schemas[0]) if schemas else None


def _type(default: Any, place: str) -> str:
    types = {bool: "boolean", int: "integer", float: "number", str: "string"}
    if type(default) not in types:
        raise UndescribedValue(f"the default of {place} tells no type; write `{_SCHEMA}{{...}}` above it")
    return types[type(default)]

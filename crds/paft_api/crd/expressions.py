"""CEL about fields of the models, with their defaults worked out: the schema has none.

Optionals of CEL would be shorter, but the API server cannot tell how long a value in one may be, so that a rule with
them costs too much.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from paft_api.model_fields import is_list, model_in


def resolved(model: type[BaseModel], path: str, *, of: str = "self", default: str | None = None) -> str:
    """The value at `path` below a model as the operator will see it, whether or not it is written out.

    `dpo.losses[].type` gives the list of the entries' types. What an entry may leave unset comes in a list, which is
    empty then: `weights[].modules` gives a list of lists. `default`: CEL for where the model's own is worked out.
    """
    place = _Place.at(model, path, of)
    if default is None:
        assert place.default is not None, f"{path} has no value where it is not written out"
        default = place.default
    return f"({place.presence} ? {place.value} : {default})" if place.presence else place.value


def unchanged(model: type[BaseModel], path: str, *, before: str, after: str) -> str:
    """Whether the value at `path` is the same below two objects."""
    old, new = _Place.at(model, path, before), _Place.at(model, path, after)
    if not old.presence:
        return f"{new.value} == {old.value}"
    if old.default is not None:
        return f"{resolved(model, path, of=after)} == {resolved(model, path, of=before)}"
    return f"({old.presence} ? {new.presence} && {new.value} == {old.value} : !({new.presence}))"


def literal(value: object) -> str:
    """A value of Python in CEL; texts and numbers are written as in JSON."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(literal(entry) for entry in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{literal(key)}: {literal(entry)}' for key, entry in value.items())}}}"
    return json.dumps(value, ensure_ascii=False)


def leaves(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Paths of all values below a model; lists whose entries have no defaults are values."""
    for name, field in model.model_fields.items():
        path = f"{prefix}{field.alias or name}"
        inner = model_in(field.annotation)
        if inner is None or (is_list(field) and _is_plain(inner)):
            yield path
        else:
            yield from leaves(inner, f"{path}[]." if is_list(field) else f"{path}.")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Place:
    """A value in CEL. `presence`: whether it is written out, empty for what always is; `default`: None for none."""

    value: str
    presence: str
    default: str | None

    @classmethod
    def at(cls, model: type[BaseModel], path: str, of: str) -> "_Place":
        name, _, rest = path.partition(".")
        field = model.model_fields[_attribute(model, name.removesuffix("[]"))]
        selected = f"{of}.{name.removesuffix('[]')}"
        presence = "" if field.is_required() else f"has({selected})"
        if not rest and isinstance(field.default, dict):
            # Maps of any content have a type of their own each, to which no literal can be compared. The API server
            # compares their sizes and the values of common keys: one key exchanged for another goes unnoticed.
            return cls(value=f"dyn({selected})", presence=presence, default="dyn({})")
        if not rest:
            return cls(value=selected, presence=presence, default=_default(field))
        inner = model_in(field.annotation)
        assert inner is not None, f"{model.__name__}.{name} is no block"
        if is_list(field):
            entry = f"{name.removesuffix('[]')}Entry"
            value = f"{selected}.map({entry}, {cls.at(inner, rest, entry).whole})"
        else:
            below = cls.at(inner, rest, selected)
            if field.is_required() or field.default is not None:
                presences = " && ".join(part for part in (presence, below.presence) if part)
                return cls(value=below.value, presence=presences, default=below.default)
            value = below.whole
        if _is_optional(field):
            return cls(value=f"[{value}]", presence=presence, default="[]")
        default = None if field.is_required() else literal([_written(entry, rest) for entry in field.default])
        return cls(value=value, presence=presence, default=default)

    @property
    def whole(self) -> str:
        """The value where there is a default or need be none, else a list with the value or without any."""
        if not self.presence:
            return self.value
        if self.default is None:
            return f"({self.presence} ? [{self.value}] : [])"
        return f"({self.presence} ? {self.value} : {self.default})"


def _is_plain(model: type[BaseModel]) -> bool:
    return all(field.is_required() for field in model.model_fields.values())


def _default(field: FieldInfo) -> str | None:
    return None if field.is_required() or field.default is None else literal(field.default)


def _is_optional(field: FieldInfo) -> bool:
    return not field.is_required() and field.default is None


def _written(block: BaseModel, path: str) -> object:
    """The value at `path` below a block, in the form that `_Place` gives it."""
    name, _, rest = path.partition(".")
    attribute = _attribute(type(block), name.removesuffix("[]"))
    value: Any = getattr(block, attribute)
    if value is None:
        return []
    if isinstance(value, tuple) and rest:
        value = [_written(entry, rest) for entry in value]
    elif rest:
        value = _written(value, rest)
    return [value] if _is_optional(type(block).model_fields[attribute]) else value


def _attribute(model: type[BaseModel], alias: str) -> str:
    return next(name for name, field in model.model_fields.items() if (field.alias or name) == alias)

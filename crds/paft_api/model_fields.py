"""Which model a path in a document leads into."""

from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo


def model_in(annotation: Any) -> type[BaseModel] | None:
    """The model inside `X`, `X | None`, `tuple[X, ...]` or an annotated form of them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for argument in get_args(annotation) if (found := model_in(argument)) is not None), None)


def owner_of(model: type[BaseModel], path: tuple[str | int, ...]) -> type[BaseModel] | None:
    """The model that the last part of `path` is a field of, or would be; None where the path leads elsewhere."""
    current: type[BaseModel] | None = model
    for part in path[:-1]:
        if current is None:
            return None
        if isinstance(part, str):
            field = _field(current, part)
            current = None if field is None else model_in(field.annotation)
    return current


def field_at(model: type[BaseModel], path: tuple[str | int, ...]) -> FieldInfo | None:
    """The field that `path` names; indices at its end are left out."""
    names = path
    while names and isinstance(names[-1], int):
        names = names[:-1]
    owner = owner_of(model, names)
    return None if owner is None or not names else _field(owner, str(names[-1]))


def _field(model: type[BaseModel], alias: str) -> FieldInfo | None:
    return next((info for info in model.model_fields.values() if info.alias == alias), None)


def is_list(field: FieldInfo) -> bool:
    """Whether a field holds any number of what it is made of, or is unset."""
    return _holds_list(field.annotation)


def _holds_list(annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin in (Annotated, Union, UnionType):
        return any(_holds_list(argument) for argument in get_args(annotation))
    return origin is tuple

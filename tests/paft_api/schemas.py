"""Walks over the contract's models and their JSON Schemas."""

from collections.abc import Iterator
from typing import Any

from paft_api.model import Model
from paft_api.model_fields import is_list, model_in


def schemas_in(document: type[Model]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema inside a document's, with `Model.field` as its place."""
    schema = document.model_json_schema()
    yield from _walk(document.__name__, {key: value for key, value in schema.items() if key != "$defs"})
    for name, definition in schema.get("$defs", {}).items():
        yield from _walk(name, definition)


def _walk(where: str, schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield where, schema
    for name, field in schema.get("properties", {}).items():
        yield from _walk(f"{where}.{name}", field)
    for alternative in schema.get("anyOf", ()):
        yield from _walk(where, alternative)
    if "items" in schema:
        yield from _walk(f"{where}[]", schema["items"])
    if isinstance(schema.get("additionalProperties"), dict):
        yield from _walk(f"{where}{{}}", schema["additionalProperties"])


def models_in(document: type[Model]) -> set[type[Model]]:
    """A document's model and all models in its fields."""
    found = {document}
    for field in document.model_fields.values():
        inner = model_in(field.annotation)
        if inner is not None:
            assert issubclass(inner, Model)
            found |= models_in(inner)
    return found


def leaf_paths(model: type[Model], prefix: str = "") -> Iterator[str]:
    """Paths of all values below a model that are no models: `sft.data.train[0].uri`."""
    for name, field in model.model_fields.items():
        path = f"{prefix}{field.alias or name}"
        inner = model_in(field.annotation)
        if inner is None:
            yield path
            continue
        assert issubclass(inner, Model)
        yield from leaf_paths(inner, f"{path}[0]." if is_list(field) else f"{path}.")

"""The complete job with some fields changed."""

from collections.abc import Mapping
from typing import Any

from tests.paft_api.complete_job import complete_document

from paft_api.documents import parse_path

ABSENT = object()
"""For a field that is not written out."""


def changed_job(changes: Mapping[str, object]) -> dict[str, Any]:
    """A document of its own. `changes`: values by path below spec."""
    document = complete_document()
    for path, value in changes.items():
        change(document["spec"], path, value)
    return document


def change(spec: dict[str, Any], path: str, value: object) -> None:
    """Set or remove one field."""
    *parents, last = parse_path(path)
    target: Any = spec
    for part in parents:
        target = target[part]
    if value is ABSENT:
        del target[last]
    else:
        target[last] = value

"""Everything in the contract is bounded and described: CEL rules have cost limits, and etcd has a size limit."""

import json
from typing import Any

import pytest
from tests.paft_api.schemas import models_in, schemas_in

from paft_api.model import Model
from paft_api.model_fields import model_in
from paft_api.report import StageReport
from paft_api.run_spec import RunSpec, TerminationMessage
from paft_api.spec import PaftJob, PaftJobSpec

DOCUMENTS: tuple[type[Model], ...] = (PaftJob, RunSpec, StageReport, TerminationMessage)
FREE_FORM = ("deepspeed", "affinity", "podTemplate", "lrSchedulerKwargs")
"""Maps of another project's fields; their size as a whole is bounded instead."""


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_list_map_and_text_is_bounded(document: type[Model]) -> None:
    assert [where for where, schema in schemas_in(document) if not _is_bounded(where, schema)] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_field_has_a_description(document: type[Model]) -> None:
    models = models_in(document)

    assert len(models) > 0
    assert [
        f"{m.__name__}.{name}" for m in models for name, field in m.model_fields.items() if not field.description
    ] == []


def test_defaults_are_told_as_they_are() -> None:
    wrong = {
        path: description for path, default, description in _defaults(PaftJobSpec) if _told(default) not in description
    }

    assert wrong == {}


def _is_bounded(where: str, schema: dict[str, Any]) -> bool:
    if "enum" in schema or "const" in schema or schema.get("format") == "date-time":
        return True
    match schema.get("type"):
        case "string":
            return "maxLength" in schema
        case "array":
            return "maxItems" in schema
        case "object" if "properties" not in schema:
            has_bounded_keys = "maxLength" in schema.get("propertyNames", {}) or where.endswith(FREE_FORM)
            return "maxProperties" in schema and has_bounded_keys
        case _:
            return True


def _defaults(model: type[Model], prefix: str = "spec") -> list[tuple[str, object, str]]:
    """Path, default and description of every optional field that is no block of fields with defaults of their own."""
    found = []
    for name, field in model.model_fields.items():
        path = f"{prefix}.{field.alias or name}"
        inner = model_in(field.annotation)
        if inner is not None:
            assert issubclass(inner, Model)
            found += _defaults(inner, path)
        elif not field.is_required():
            found.append((path, field.default, " ".join((field.description or "").split())))
    return found


def _told(default: object) -> str:
    if default is None or default == () or default == {}:
        return "Default: "
    if isinstance(default, float) and default < 1e-3 and default != 0:
        return f"Default: {default:.0e}".replace("e-0", "e-")
    if isinstance(default, tuple):
        return f"Default: [{', '.join(default)}]"
    return f"Default: {default if isinstance(default, str) else json.dumps(default)}"

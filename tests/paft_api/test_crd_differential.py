"""Models and API server give one verdict on any object.

Objects are sent as kubectl sends them: whole numbers without a fraction. What the API server admits is judged by the
models as it is stored, since that is what the operator reads; what it refuses, without the nulls that it drops before
it looks.
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, note
from hypothesis import strategies as st
from tests.paft_api.admission import Admission, Finding, findings_of_models
from tests.paft_api.changes import change
from tests.paft_api.complete_job import complete_document

from paft_api.crd.definition import object_schema
from paft_api.crd.structural import INT_OR_STRING, PRESERVE
from paft_api.documents import parse_path

SCHEMA: dict[str, Any] = object_schema()["properties"]["spec"]
BY_MODELS_ONLY = (
    # free_form._require_small
    "characters of JSON; at most",
    # pod_template.require_no_conflict, of fields that no schema names and of paths in an unusual spelling
    "podTemplate adds and replaces, but does not remove",
    "is a patch directive",
    "would hide a directory of the stage",
)
"""Parts of messages of what the CRD cannot refuse."""
TYPED_BY_KUBERNETES = "podTemplate"
"""There the API server knows the types of Kubernetes' own fields; the models do not look at those they let pass."""
BROKEN_RULE = ("evaluating rule", "no such overload", "cost", "rule compile")

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
TEXTS = st.sampled_from(
    [
        *("", "a", "A_b.c", "-a", "a-", "a\n", "é" * 63, "1e-4", "true", "MASTER_ADDR"),
        *("a" * 40, "a" * 63, "a" * 64, "a" * 253, "a" * 254, "a" * 317, "a" * 318),
        *("x.io/y", "paft.dev/stage", "job-name"),
        *("s3://b", "s3://models/", "s3://models/base", "s3://models/fused/", "file:///", "file:///x"),
        *("s3://models/" + "b" * 1011, "s3://models/" + "b" * 1012),
        *("http://h:1", "http://h/x", "http://h\u00a0i"),
        *("5GB", "0GB", "500m", "64Gi", "1.5", "1e3", "-1"),
    ]
)
KEYS = st.sampled_from(["a", "x.io/y", "paft.dev/stage", "batch.kubernetes.io/z", "-a", "", "a" * 317, "a" * 318])


@pytest.mark.slow
@given(data=st.data())
def test_one_verdict_on_any_object(data: st.DataObject, admission: Admission, job_directory: Path) -> None:
    document = complete_document()
    for _ in range(data.draw(st.integers(1, 4))):
        path = data.draw(st.sampled_from(list(_places(document["spec"]))))
        change(document["spec"], path, data.draw(_values(_schema_at(path))))
    document["spec"] = _as_kubectl_sends(document["spec"])
    note(json.dumps(document["spec"]))

    verdict = admission.check(document)

    note(verdict.message)
    assert not any(words in verdict.message for words in BROKEN_RULE)
    if verdict.stored is not None:
        ours = findings_of_models(document | {"spec": verdict.stored["spec"]}, job_directory)
        assert [finding for finding in ours if not _is_models_only(finding)] == []
    else:
        assert verdict.findings or "unknown field" in verdict.message
        ours = findings_of_models(document | {"spec": _without_nulls(document["spec"], SCHEMA)}, job_directory)
        assert ours != [] or all(TYPED_BY_KUBERNETES in finding.field for finding in verdict.findings)


@pytest.fixture(scope="module")
def job_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("jobs")


def _is_models_only(finding: Finding) -> bool:
    return any(words in finding.message for words in BY_MODELS_ONLY)


def _places(value: object, path: str = "") -> Iterator[str]:
    """Every place in a document that a change can be made at; beside those, a field that nobody knows."""
    if isinstance(value, dict) and "." not in "".join(value):
        for key, inner in value.items():
            place = f"{path}.{key}".lstrip(".")
            yield place
            yield from _places(inner, place)
        yield f"{path}.unknown".lstrip(".")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield f"{path}[{index}]"
            yield from _places(inner, f"{path}[{index}]")


def _schema_at(path: str) -> dict[str, Any]:
    """The schema of a place; an empty one where there is none."""
    node = SCHEMA
    for part in parse_path(path):
        if isinstance(part, int):
            node = node.get("items", {})
        else:
            node = node.get("properties", {}).get(part, node.get("additionalProperties", {}))
    return node


def _values(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Mostly values that a schema nearly admits: at its bounds, just beyond them, and of its type."""
    if not schema or (PRESERVE in schema and "properties" not in schema):
        return JSON_VALUES
    return st.one_of(_near(schema), _near(schema), _near(schema), JSON_VALUES)


def _near(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    if INT_OR_STRING in schema:
        return TEXTS | st.integers(-1, 2**64)
    match schema.get("type"):
        case "string":
            return st.sampled_from(schema["enum"]) if "enum" in schema else TEXTS
        case "integer" | "number" as type_:
            return _near_bounds(schema, whole=type_ == "integer")
        case "boolean":
            return st.booleans()
        case "array":
            too_many = [_smallest(schema["items"])] * (schema["maxItems"] + 1)
            return st.lists(_near(schema["items"]), max_size=4) | st.just(too_many)
        case "object" if "properties" in schema:
            return st.fixed_dictionaries(
                {name: _near(schema["properties"][name]) for name in schema.get("required", ())},
                optional={
                    name: _near(inner)
                    for name, inner in schema["properties"].items()
                    if name not in schema.get("required", ())
                },
            )
        case "object" if "additionalProperties" in schema:
            return st.dictionaries(KEYS, _near(schema["additionalProperties"]), max_size=3)
        case _:
            return st.dictionaries(st.text(max_size=5), JSON_VALUES, max_size=3)


def _smallest(schema: dict[str, Any]) -> object:
    if schema.get("type") != "object":
        return schema.get("enum", ["a"])[0]
    return {name: _smallest(schema["properties"][name]) for name in schema.get("required", ())}


def _near_bounds(schema: dict[str, Any], *, whole: bool) -> st.SearchStrategy[Any]:
    bounds = [schema[key] for key in ("minimum", "maximum") if key in schema] or [0]
    beside = [value + step for value in bounds for step in ((-1, 0, 1, 2) if whole else (-0.5, 0, 0.25, 1))]
    return st.sampled_from([*beside, 1, 2, 3, 8, 0.5, -1, 1e300])


def _as_kubectl_sends(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_kubectl_sends(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_as_kubectl_sends(inner) for inner in value]
    is_whole = isinstance(value, float) and math.isfinite(value) and value.is_integer() and abs(value) < 1e21
    return int(value) if is_whole else value


def _without_nulls(value: Any, schema: dict[str, Any]) -> Any:
    """Of fields that the schema knows, as the API server does it."""
    if isinstance(value, list):
        return [_without_nulls(inner, schema.get("items", {})) for inner in value]
    if not isinstance(value, dict):
        return value
    result = {}
    for key, inner in value.items():
        below = schema.get("properties", {}).get(key, schema.get("additionalProperties"))
        if inner is not None or below is None:
            result[key] = _without_nulls(inner, below or {})
    return result

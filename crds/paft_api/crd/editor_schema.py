"""The same schema as JSON Schema, for editors, and for checks of manifests where there is no API server."""

from typing import Any

from paft_api.crd.definition import object_schema
from paft_api.crd.structural import INT_OR_STRING, PRESERVE, structural_schema
from paft_api.spec import PaftJob
from paft_api.spec.job import API_VERSION, KIND

_DIALECT = "http://json-schema.org/draft-07/schema#"
_OF_TEXT = ("pattern", "maxLength", "minLength")


def editor_schema(note: str) -> dict[str, Any]:
    """A document that refuses unknown fields. What the CRD says in CEL, JSON Schema cannot."""
    schema = _plain(object_schema())
    properties = schema["properties"]
    properties["apiVersion"]["enum"] = [API_VERSION]
    properties["kind"]["enum"] = [KIND]
    properties["metadata"] = _metadata()
    schema["required"] = ["apiVersion", "kind", "metadata", "spec"]
    return {"$schema": _DIALECT, "$comment": note, "title": KIND, **schema}


def _metadata() -> dict[str, Any]:
    """The name's form; labels, annotations and all the rest are Kubernetes' own."""
    metadata = structural_schema(PaftJob)["properties"]["metadata"]
    name = _plain(metadata["properties"]["name"])
    return {"description": metadata["description"], "type": "object", "properties": {"name": name}}


def _plain(node: dict[str, Any]) -> dict[str, Any]:
    result = {key: value for key, value in node.items() if not key.startswith("x-kubernetes-")}
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if result.pop(exclusive, False):
            result[exclusive] = result.pop(bound)
    if "properties" in node:
        result["properties"] = {name: _plain(inner) for name, inner in node["properties"].items()}
        if PRESERVE not in node:
            result["additionalProperties"] = False
    if "items" in node:
        result["items"] = _plain(node["items"])
    if "additionalProperties" in node:
        result["additionalProperties"] = _plain(node["additionalProperties"])
    if INT_OR_STRING in node:
        text = {key: result.pop(key) for key in _OF_TEXT if key in result}
        result["anyOf"] = [{"type": "integer", "minimum": result.pop("minimum")}, {"type": "string", **text}]
    return result

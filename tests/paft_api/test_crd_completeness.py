"""Whatever the models check is in the CRD, or in a list of what cannot be.

The models are read from what pydantic runs, its core schema, so that nothing the generator may overlook is overlooked
here. A kind of schema or of constraint that is not named here fails.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from paft_api.crd.definition import object_schema
from paft_api.crd.rules import NOT_IN_THE_SCHEMA, RULES, name_of
from paft_api.crd.structural import PRESERVE
from paft_api.model import Unavailable
from paft_api.spec import PaftJob

CoreSchema = dict[str, Any]
Schema = dict[str, Any]

CORE: CoreSchema = PaftJob.__pydantic_core_schema__
DEFINITIONS: dict[str, CoreSchema] = {one["ref"]: one for one in CORE.get("definitions", ())}
"""Models that are used more than once."""
SERVERS_OWN = ("metadata", "apiVersion", "kind")
"""Checked by the API server, for every kind of object; for `metadata.name` there is a rule besides."""
FREE_FORM_BOUNDS: dict[str, str] = {
    "spec.trainer.podTemplate": "its two fields are named",
}
"""Maps whose number of entries needs no bound of its own, and why."""
TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean", "datetime": "string"}
BOUNDS = {
    "min_length": "minLength",
    "max_length": "maxLength",
    "pattern": "pattern",
    "ge": "minimum",
    "gt": "minimum",
    "le": "maximum",
    "lt": "maximum",
}
NOTHING_TO_CHECK = {
    "type",
    "ref",
    "metadata",
    "serialization",
    "strict",
    # JSON has no such numbers.
    "allow_inf_nan",
    # Where it is written, not what.
    "microseconds_precision",
    "coerce_numbers_to_str",
}


def test_every_constraint_has_a_counterpart() -> None:
    assert list(_missing(CORE, object_schema(), "")) == []


@pytest.mark.parametrize("field", ["pattern", "maximum", "minItems", "enum", "required", "x-kubernetes-validations"])
def test_a_gap_is_found(field: str) -> None:
    schema = object_schema()
    _remove_first(schema["properties"]["spec"], field)

    assert list(_missing(CORE, schema, "")) != []


def test_everything_is_bounded_and_nothing_has_a_default() -> None:
    schema = object_schema()
    del schema["properties"]["metadata"], schema["properties"]["apiVersion"], schema["properties"]["kind"]

    assert [place for place, node in _nodes(schema, "") if not _is_bounded(node)] == []
    assert [place for place, node in _nodes(schema, "") if "default" in node or "nullable" in node] == []


def _missing(core: CoreSchema, schema: Schema, place: str) -> Iterator[str]:
    """Constraints of a core schema without a counterpart."""
    if place in SERVERS_OWN:
        return
    match core["type"]:
        case "default" | "nullable" | "definitions":
            yield from _missing(core["schema"], schema, place)
        case "definition-ref":
            yield from _missing(DEFINITIONS[core["schema_ref"]], schema, place)
        case "function-after" | "function-before":
            yield from _missing_rule(core["function"]["function"], schema, place)
            yield from _missing(core["schema"], schema, place)
        case "model" | "model-fields":
            yield from _missing_fields(core, schema, place)
        case "tuple":
            yield from _missing_list(core, schema, place)
        case "dict":
            yield from _missing_map(core, schema, place)
        case "literal" | "enum":
            allowed = core.get("expected") or [member.value for member in core["members"]]
            if schema.get("enum") != [str(value) for value in allowed]:
                yield f"{place}: enum {allowed}"
        case "str" | "int" | "float" | "bool" | "datetime":
            yield from _missing_bounds(core, schema, place)
        case "any":
            assert schema == {}, place
        case other:
            yield f"{place}: nothing is known about {other}"


def _missing_fields(core: CoreSchema, schema: Schema, place: str) -> Iterator[str]:
    if core["type"] == "model":
        assert core["config"]["extra_fields_behavior"] == "forbid", place
        yield from _missing(core["schema"], schema, place)
        return
    for name, field in core["fields"].items():
        alias = field.get("validation_alias", name)
        path = f"{place}.{alias}".lstrip(".")
        if alias not in schema["properties"]:
            yield f"{path}: unknown"
            continue
        if field["schema"]["type"] != "default" and path not in SERVERS_OWN and alias not in schema.get("required", ()):
            yield f"{path}: required"
        yield from _missing(field["schema"], schema["properties"][alias], path)


def _missing_list(core: CoreSchema, schema: Schema, place: str) -> Iterator[str]:
    known = {"items_schema", "variadic_item_index", "min_length", "max_length"}
    assert core.keys() <= known | NOTHING_TO_CHECK, core
    for ours, theirs in (("min_length", "minItems"), ("max_length", "maxItems")):
        if core.get(ours) != schema.get(theirs):
            yield f"{place}: {ours}"
    yield from _missing(core["items_schema"][0], schema["items"], f"{place}[]")


def _missing_map(core: CoreSchema, schema: Schema, place: str) -> Iterator[str]:
    assert core.keys() <= {"keys_schema", "values_schema", "min_length", "max_length"} | NOTHING_TO_CHECK, core
    if core.get("max_length") != schema.get("maxProperties") and place not in FREE_FORM_BOUNDS:
        yield f"{place}: max_length"
    if core["values_schema"]["type"] != "any":
        yield from _missing(core["values_schema"], schema["additionalProperties"], f"{place}{{}}")
    yield from _missing_key_rules(core["keys_schema"], schema, place)


def _missing_key_rules(keys: CoreSchema, schema: Schema, place: str) -> Iterator[str]:
    rules = [rule["rule"] for rule in schema.get("x-kubernetes-validations", ())]
    if keys["type"] == "function-after":
        for rule in RULES[name_of(keys["function"]["function"])]:
            if rule.about_keys().rule not in rules:
                yield f"{place}: keys: {rule.rule}"
        keys = keys["schema"]
    wanted = {
        "max_length": f"self.all(key, size(key) <= {keys.get('max_length')})",
        "min_length": f"self.all(key, size(key) >= {keys.get('min_length')})",
        "pattern": f'self.all(key, key.matches("{str(keys.get("pattern")).replace(chr(92), chr(92) * 2)}"))',
    }
    assert keys.keys() <= wanted.keys() | NOTHING_TO_CHECK, keys
    yield from (f"{place}: keys: {name}" for name in wanted.keys() & keys.keys() if wanted[name] not in rules)


def _missing_bounds(core: CoreSchema, schema: Schema, place: str) -> Iterator[str]:
    assert core.keys() <= BOUNDS.keys() | NOTHING_TO_CHECK, core
    if schema.get("type") != TYPES[core["type"]] and "x-kubernetes-int-or-string" not in schema:
        yield f"{place}: type {core['type']}"
    if core["type"] == "datetime" and schema.get("format") != "date-time":
        yield f"{place}: a time"
    for name in BOUNDS.keys() & core.keys():
        exclusive = {"gt": "exclusiveMinimum", "lt": "exclusiveMaximum"}.get(name)
        if schema.get(BOUNDS[name]) != core[name] or (exclusive is not None and not schema.get(exclusive)):
            yield f"{place}: {name} {core[name]}"


def _missing_rule(validator: Callable[..., object], schema: Schema, place: str) -> Iterator[str]:
    rules = [rule["rule"] for rule in schema.get("x-kubernetes-validations", ())]
    if isinstance(validator, Unavailable):
        shown = [str(value).lower() if isinstance(value, bool) else f'"{value}"' for value in validator.values]
        yield from (f"{place}: not {value}" for value in shown if f"self != {value}" not in rules)
        return
    name = name_of(validator)
    if name == "pod_template.require_no_conflict":
        if set(schema["properties"]) != {"metadata", "spec"}:
            yield f"{place}: the schema of a pod template"
    elif name == "model.number_to_text":
        if not schema.get("x-kubernetes-int-or-string"):
            yield f"{place}: a number or text"
    elif name not in NOT_IN_THE_SCHEMA:
        yield from (f"{place}: {name}" for rule in RULES[name] if rule.rule not in rules)


def _nodes(schema: Schema, place: str) -> Iterator[tuple[str, Schema]]:
    yield place, schema
    for name, inner in schema.get("properties", {}).items():
        yield from _nodes(inner, f"{place}.{name}".lstrip("."))
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from _nodes(schema[key], f"{place}[]")


def _is_bounded(node: Schema) -> bool:
    match node.get("type"):
        case "string":
            return "enum" in node or "maxLength" in node or node.get("format") == "date-time"
        case "array":
            return "maxItems" in node
        case "object":
            return "properties" in node or "maxProperties" in node or PRESERVE in node
        case _:
            return "type" in node or ("maxLength" in node and "pattern" in node)


def _remove_first(schema: Schema, field: str) -> None:
    node = next(node for _, node in _nodes(schema, "") if field in node)
    del node[field]

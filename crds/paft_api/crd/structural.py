"""From the models to a structural schema, as a CRD has it: everything inline, no defaults, no unions, no nulls."""

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from paft_api.crd.expressions import literal
from paft_api.crd.pod_template import pod_template_schema
from paft_api.crd.rule import Rule
from paft_api.crd.rules import rules_of
from paft_api.model import number_to_text
from paft_api.spec.pod_template import require_no_conflict

RULES = "x-kubernetes-validations"
INT_OR_STRING = "x-kubernetes-int-or-string"
PRESERVE = "x-kubernetes-preserve-unknown-fields"

_DROPPED = ("title", "additionalProperties", "propertyNames", "exclusiveMinimum", "exclusiveMaximum", "const")
_KEPT = (
    "description",
    "type",
    "format",
    "enum",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "required",
    INT_OR_STRING,
    PRESERVE,
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    RULES,
)


def structural_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The schema of a model's documents."""
    root = model.model_json_schema(schema_generator=_RuledSchema)
    definitions = root.pop("$defs", {})
    return _structural(root, definitions)


class _RuledSchema(GenerateJsonSchema):
    """pydantic's JSON Schema, with rules where the models have validators.

    The API server drops a null before it looks at an object, so that null and absent are one.
    """

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        document: JsonSchemaValue = {
            "type": "object",
            "propertyNames": self.generate_inner(schema["keys_schema"]),
            "additionalProperties": self.generate_inner(schema["values_schema"]),
        }
        self.update_with_validations(document, schema, self.ValidationsMapping.object)
        return document

    def function_after_schema(self, schema: core_schema.AfterValidatorFunctionSchema) -> JsonSchemaValue:
        document = self.generate_inner(schema["schema"])
        validator = schema["function"]["function"]
        if validator is require_no_conflict:
            return pod_template_schema()
        return _with_rules(document, rules_of(validator))

    def function_before_schema(self, schema: core_schema.BeforeValidatorFunctionSchema) -> JsonSchemaValue:
        document = self.generate_inner(schema["schema"])
        assert schema["function"]["function"] is number_to_text, "only quantities are read as something else"
        del document["type"]
        return document | {INT_OR_STRING: True, "minimum": 0}


def _with_rules(document: dict[str, Any], rules: Iterable[Rule]) -> dict[str, Any]:
    documents = [rule.to_document() for rule in rules]
    return document | {RULES: [*document.get(RULES, []), *documents]} if documents else document


def _structural(node: dict[str, Any], definitions: dict[str, dict[str, Any]]) -> dict[str, Any]:
    node = _inline(node, definitions)
    unknown = node.keys() - {*_DROPPED, *_KEPT, "properties", "items"}
    assert not unknown, f"nothing is known about {unknown}"
    result = {key: node[key] for key in _KEPT if key in node}
    for exclusive, inclusive in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if exclusive in node:
            result |= {inclusive: node[exclusive], exclusive: True}
    if "const" in node:
        result["enum"] = [node["const"]]
    if "items" in node:
        result["items"] = _structural(node["items"], definitions)
    if "properties" in node:
        result["properties"] = {name: _structural(inner, definitions) for name, inner in node["properties"].items()}
    elif node.get("type") == "object" and PRESERVE not in node:
        result |= _map(node, result, definitions)
    return result


def _inline(node: dict[str, Any], definitions: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """A node with what it refers to; of two descriptions the field's own comes first."""
    if "$ref" not in node:
        return node
    target = _inline(definitions[node["$ref"].rpartition("/")[2]], definitions)
    merged = target | {key: value for key, value in node.items() if key != "$ref"}
    if RULES in node and RULES in target:
        merged[RULES] = [*target[RULES], *node[RULES]]
    texts = [" ".join(part["description"].split()) for part in (node, target) if "description" in part]
    return merged | {"description": " ".join(dict.fromkeys(texts))} if texts else merged


def _map(node: dict[str, Any], result: dict[str, Any], definitions: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What is said of values and keys of a map. A structural schema has no word about keys, but CEL does."""
    values = node["additionalProperties"]
    if not values:
        return {PRESERVE: True}
    about_keys = [rule.about_keys().to_document() for rule in _key_rules(node.get("propertyNames", {}))]
    rules = [*result.get(RULES, []), *about_keys]
    return {"additionalProperties": _structural(values, definitions), **({RULES: rules} if rules else {})}


def _key_rules(keys: dict[str, Any]) -> Iterable[Rule]:
    if "minLength" in keys:
        yield Rule(rule=f"size(self) >= {keys['minLength']}", message="too short")
    if "maxLength" in keys:
        words = f"too long; at most {keys['maxLength']} characters are allowed"
        yield Rule(rule=f"size(self) <= {keys['maxLength']}", message=words)
    if "pattern" in keys:
        words = f"does not have the right form; it should match {keys['pattern']}"
        yield Rule(rule=f"self.matches({literal(keys['pattern'])})", message=words)
    for document in keys.get(RULES, []):
        yield Rule(
            rule=document["rule"], message=document["message"], message_expression=document.get("messageExpression")
        )

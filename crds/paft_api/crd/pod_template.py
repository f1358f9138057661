"""The schema of trainer.podTemplate: free-form but for what `require_no_conflict` looks at.

What it cannot say, the models still refuse: nulls and patch directives in fields that no schema names, and mount paths
in an unusual spelling.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from paft_api import stage_pods
from paft_api.crd.expressions import literal
from paft_api.crd.rule import Rule, formatted
from paft_api.crd.rules import IS_RESERVED
from paft_api.spec.free_form import MAXIMUM_CHARACTERS
from paft_api.spec.pod_template import (
    CONTAINER_FIELDS,
    MAXIMUM_ENTRIES,
    OWN_DIRECTORIES,
    OWN_VOLUMES,
    POD_FIELDS,
)

Schema = dict[str, Any]

_FREE = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_TEXT = {"type": "string", "maxLength": MAXIMUM_CHARACTERS}
_TYPES: dict[str, Schema] = {
    "setHostnameAsFQDN": {"type": "boolean"},
    "activeDeadlineSeconds": {"type": "integer"},
    "terminationGracePeriodSeconds": {"type": "integer"},
    "command": {"type": "array", "maxItems": MAXIMUM_ENTRIES, "items": _TEXT},
    "args": {"type": "array", "maxItems": MAXIMUM_ENTRIES, "items": _TEXT},
    "restartPolicyRules": {"type": "array", "maxItems": MAXIMUM_ENTRIES, "items": _FREE},
}
"""Types of Kubernetes' own fields; the others are texts."""


def pod_template_schema() -> Schema:
    """What is looked at, typed; the rest as it comes."""
    metadata = {
        "description": "Metadata of the pods.",
        "type": "object",
        "properties": {name: _keys(name) for name in ("labels", "annotations")},
    }
    return {"type": "object", "properties": {"metadata": metadata, "spec": _pod()}}


def _keys(name: str) -> Schema:
    reserved = re.sub(r"\bself\b", "key", IS_RESERVED)
    words = "the operator or Kubernetes sets; remove it"
    rule = Rule(
        rule=f"!self.exists(key, {reserved})",
        message=f"names what {words}",
        message_expression=formatted(f"names %s, which {words}", f"self.filter(key, {reserved})[0]"),
    )
    schema = {
        "description": f"Additional {name}.",
        "type": "object",
        "maxProperties": MAXIMUM_ENTRIES,
        "additionalProperties": _TEXT,
    }
    return _ruled(schema, rule)


def _pod() -> Schema:
    volume = Rule(
        rule=f"!(self.name in {literal(OWN_VOLUMES)})",
        message="it is one of the stage's own; use another name",
        message_expression=formatted("%s is one of the stage's own; use another name", "self.name"),
        field_path=".name",
    )
    lists = {
        "env": _list("name", {}, "Environment, merged by name."),
        "volumeMounts": _list("mountPath", {}, "Mounts, merged by mountPath."),
    }
    own = lists | _typed(CONTAINER_FIELDS, f"Cannot be set for the container {stage_pods.CONTAINER}")
    properties = {
        **_typed(POD_FIELDS, "Cannot be set"),
        "volumes": _list("name", {}, "Volumes, merged by name.", volume),
        "initContainers": _list("name", lists, "Init containers, merged by name."),
        "containers": _list("name", own, "Containers, merged by name.", *_container_rules()),
    }
    unset = (_unset(field, why) for field, why in POD_FIELDS.items())
    described = {"description": "Any fields of a pod's spec but those that cannot be set."}
    return _ruled(described | _FREE | {"properties": properties}, *unset)


def _container_rules() -> Iterator[Rule]:
    is_other = f"self.name != {literal(stage_pods.CONTAINER)}"
    for field, why in CONTAINER_FIELDS.items():
        rule = _unset(field, why)
        yield replace(rule, rule=f"{is_other} || {rule.rule}")
    reserved = literal(stage_pods.RENDEZVOUS_VARIABLES)
    yield Rule(
        rule=f"{is_other} || !has(self.env) || !self.env.exists(variable, variable.name in {reserved})",
        message=f"{', '.join(stage_pods.RENDEZVOUS_VARIABLES)} are set by the operator; remove them",
        field_path=".env",
    )
    hiding = literal(_hiding_directories())
    yield Rule(
        rule=f"{is_other} || !has(self.volumeMounts) || !self.volumeMounts.exists(mount, mount.mountPath in {hiding})",
        message="a mount would hide a directory of the stage; mount the volume elsewhere",
        message_expression=formatted(
            "mountPath %s would hide a directory of the stage; mount the volume elsewhere",
            f"self.volumeMounts.filter(mount, mount.mountPath in {hiding})[0].mountPath",
        ),
        field_path=".volumeMounts",
    )


def _hiding_directories() -> list[str]:
    """Each directory of a stage and all above it, with and without a slash at the end."""
    above = {str(path) for own in OWN_DIRECTORIES for path in (PurePosixPath(own), *PurePosixPath(own).parents)}
    return sorted({*above, *(f"{path.rstrip('/')}/" for path in above)})


def _unset(field: str, why: str) -> Rule:
    return Rule(rule=f"!has(self.{field})", message=f"cannot be set: {why}", field_path=f".{field}")


def _typed(fields: Mapping[str, str], words: str) -> dict[str, Schema]:
    return {field: {"description": f"{words}: {why}."} | _TYPES.get(field, _TEXT) for field, why in fields.items()}


def _list(key: str, properties: dict[str, Schema], description: str, *rules: Rule) -> Schema:
    """Entries that are merged by `key`, of which there is one each."""
    items = _FREE | {"required": [key], "properties": {key: {"description": "Its key."} | _TEXT, **properties}}
    return {
        "description": description,
        "type": "array",
        "maxItems": MAXIMUM_ENTRIES,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": [key],
        "items": _ruled(items, *rules),
    }


def _ruled(schema: Schema, *rules: Rule) -> Schema:
    documents = [rule.to_document() for rule in rules]
    return schema | {"x-kubernetes-validations": documents} if documents else schema

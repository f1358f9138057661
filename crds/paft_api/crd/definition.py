"""The CustomResourceDefinition as a document."""

from typing import Any

from paft_api.crd.expressions import literal
from paft_api.crd.rule import Rule
from paft_api.crd.structural import RULES, structural_schema
from paft_api.crd.transitions import transition_rules
from paft_api.spec import Metadata, PaftJob
from paft_api.spec.job import API_VERSION, KIND
from paft_api.stages import StageName

GROUP, _, VERSION = API_VERSION.partition("/")
PLURAL = "paftjobs"
NAME = f"{PLURAL}.{GROUP}"

_LIST_KEYS = {"conditions": "type", "stages": "name"}
"""Lists of status that have one entry of each kind."""


def custom_resource_definition() -> dict[str, Any]:
    """All of it."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": NAME},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": ["pj"],
                "categories": ["all"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "additionalPrinterColumns": _columns(),
                    "subresources": {"status": {}},
                    "schema": {"openAPIV3Schema": object_schema()},
                }
            ],
        },
    }


def object_schema() -> dict[str, Any]:
    """The structural schema of a PaftJob. Kind and metadata are the API server's own, but for the name."""
    schema = structural_schema(PaftJob)
    properties = schema["properties"]
    for name in ("apiVersion", "kind"):
        del properties[name]["enum"]
    properties["metadata"] = {"type": "object", "properties": {"name": {"type": "string"}}}
    for name, key in _LIST_KEYS.items():
        properties["status"]["properties"][name] |= {
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": [key],
        }
    schema["required"] = ["spec"]
    schema[RULES] = [rule.to_document() for rule in (_name_rule(), *transition_rules())]
    return schema


def _name_rule() -> Rule:
    """Names do not change: what is there already, by whatever rules it got in, can be updated and deleted."""
    name = structural_schema(Metadata)["properties"]["name"]
    return Rule(
        rule=f"oldSelf.hasValue() || size(self.metadata.name) <= {name['maxLength']} && "
        f"self.metadata.name.matches({literal(name['pattern'])})",
        message=f"use lower-case letters, digits and -, starting with a letter; at most {name['maxLength']} characters "
        "are allowed",
        field_path=".metadata.name",
        optional_old_self=True,
    )


def _columns() -> list[dict[str, Any]]:
    progress = {arm: f'.status.stages[?(@.name=="{arm}")].progress' for arm in StageName}
    columns = (
        ("Phase", "string", ".status.phase", "What it is doing."),
        ("SFT", "string", progress[StageName.SFT], "Optimizer steps of the supervised arm."),
        ("Preference", "string", progress[StageName.PREFERENCE], "Optimizer steps of the alignment arm."),
        ("Method", "string", ".status.mergeMethod", "Merge method."),
        ("ETA", "string", ".status.eta", "Time until both arms are trained."),
        ("Age", "date", ".metadata.creationTimestamp", "Time since it was created."),
    )
    shown = [
        {"name": name, "type": type_, "jsonPath": path, "description": text} for name, type_, path, text in columns
    ]
    output = {"name": "Output", "type": "string", "jsonPath": ".status.output.uri", "description": "Published folder."}
    return [*shown, output | {"priority": 1}]

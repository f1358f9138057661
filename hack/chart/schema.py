"""values.schema.json: what Helm checks values against before it renders anything. Unknown names are errors."""

import json
from typing import Any

from hack.chart.values import Value

_QUANTITIES = {
    "type": "object",
    "additionalProperties": {"type": ["string", "number"], "pattern": r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"},
}
_OF_PARENT_CHARTS = {
    "global": {"type": "object", "description": "Of no effect; Helm gives it to every dependency of a chart."},
    "enabled": {
        "type": "boolean",
        "description": "Of no effect; a chart that depends on this one may use it as condition.",
    },
}


def schema(values: tuple[Value, ...]) -> str:
    """Text of values.schema.json."""
    document = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the chart paft-operator",
        "$defs": {"quantities": _QUANTITIES},
        **_block(values),
    }
    document["properties"] |= _OF_PARENT_CHARTS
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _block(values: tuple[Value, ...]) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {value.name: _property(value) for value in values},
    }


def _property(value: Value) -> dict[str, Any]:
    if value.children:
        return _block(value.children)
    return {"description": value.description, **value.schema, "default": value.default}

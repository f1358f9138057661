"""What pydantic found, in words: the value given, what is allowed, and what was probably meant."""

import difflib
import json
from typing import Any

from pydantic_core import ErrorDetails

from paft_api.model_fields import field_at, owner_of
from paft_api.spec import PaftJob

_Path = tuple[str | int, ...]

_KINDS = {
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "text",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a map",
    "model_type": "a map of fields",
    "model_attributes_type": "a map of fields",
}
_BOUNDS = {
    "greater_than": ("gt", "it must be greater than"),
    "greater_than_equal": ("ge", "it must be at least"),
    "less_than": ("lt", "it must be less than"),
    "less_than_equal": ("le", "it must be at most"),
}


def message_of(path: _Path, details: ErrorDetails) -> str:
    """One sentence for one error; `path` is its place in the document."""
    context = details.get("ctx", {})
    value = _shown(details["input"])
    match details["type"]:
        case "missing":
            return f"this field is missing{_description(path)}"
        case "extra_forbidden":
            return f"unknown field{_did_you_mean(str(path[-1]), _fields_beside(path))}"
        case "literal_error" | "enum":
            allowed = _allowed(context["expected"])
            return f"{value} is not allowed; use {_joined(allowed)}{_did_you_mean(str(details['input']), allowed)}"
        case "greater_than" | "greater_than_equal" | "less_than" | "less_than_equal" as bound:
            key, words = _BOUNDS[bound]
            return f"{value} is out of bounds; {words} {context[key]:g}"
        case "string_pattern_mismatch":
            return f"{value} does not have the right form; {_form(path)}"
        case "string_too_long":
            return f"too long ({len(str(details['input']))} characters); at most {context['max_length']} are allowed"
        case "string_too_short":
            return f"{value} is too short; at least {_counted(context['min_length'], 'character')} needed"
        case "too_long":
            return f"{_entries(context['actual_length'])}; at most {context['max_length']} are allowed"
        case "too_short":
            return f"{_entries(context['actual_length'])}; at least {_counted(context['min_length'], 'entry')} needed"
        case "value_error":
            return str(context["error"])
        case "int_from_float":
            return f"{value} is not a whole number"
        case type_ if type_ in _KINDS:
            return _wrong_kind(details["input"], type_)
        case _:
            return f"{value}: {details['msg']}"


def _wrong_kind(value: object, type_: str) -> str:
    wanted = _KINDS[type_]
    if value is None:
        return f"empty, but it must be {wanted}; give a value or remove the field"
    is_number = isinstance(value, int | float)
    if type_ == "string_type" and is_number:
        return f"{_shown(value)} is not text; put it in quotes"
    if isinstance(value, str) and type_ in ("int_type", "float_type", "bool_type"):
        return f"{_shown(value)} is text, not {wanted}{'; remove the quotes' if _reads_as_number(value) else ''}"
    return f"{_shown(value)} is not {wanted}"


def _reads_as_number(text: str) -> bool:
    return text.replace(".", "", 1).lstrip("+-").isdigit()


def _counted(count: int, noun: str) -> str:
    plural = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"1 {noun} is" if count == 1 else f"{count} {plural} are"


def _entries(count: int) -> str:
    return "1 entry" if count == 1 else f"{count} entries"


def _allowed(expected: str) -> list[str]:
    return [part.strip().strip("'") for part in expected.replace(" or ", ", ").split(",")]


def _joined(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _did_you_mean(word: str, known: list[str]) -> str:
    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return f". Did you mean {by_lower[close[0]]}?" if close and len(known) > 1 else ""


def _form(path: _Path) -> str:
    name = str(path[-1]) if path else ""
    if name.lower().endswith("uri"):
        return "write s3://bucket/folder/ or file:///absolute/path/"
    if path[-2:] == ("metadata", "name"):
        return "use lower-case letters, digits and -, starting with a letter"
    if name == "endpoint":
        return "write http://host:port or https://host:port"
    if name == "maxShardSize":
        return "write a whole number and KB, MB or GB, such as 5GB"
    if name in ("cpu", "memory", "sharedMemory") or path[-2:-1] == ("extra",):
        return "write a Kubernetes quantity such as 4, 500m or 64Gi"
    if path[-3:-2] == ("env",):
        return "use letters, digits and _, not starting with a digit"
    if name in ("podLabels", "podAnnotations", "nodeSelector") or path[-2:-1] in (("podLabels",), ("nodeSelector",)):
        return "use letters, digits, -, _ and ., in a key also domain/ before them"
    return "use lower-case letters, digits and -"


def _description(path: _Path) -> str:
    field = field_at(PaftJob, path)
    if field is None or field.description is None:
        return ""
    return f"; it is: {' '.join(field.description.split()).rstrip('.')}"


def _fields_beside(path: _Path) -> list[str]:
    owner = owner_of(PaftJob, path)
    return [] if owner is None else [info.alias or name for name, info in owner.model_fields.items()]


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "…"

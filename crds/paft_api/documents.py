"""From a job file to a PaftJob, or to every error in it, told so that a person can mend them."""

import difflib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from paft_api.errors import JobFileFinding, JobFileInvalid
from paft_api.spec import PaftJob
from paft_api.yaml_documents import Path_, PlacedDocument, read_document, render_path


def load_job(path: Path) -> PaftJob:
    """Read and check a job file. Raises JobFileInvalid with all that is wrong."""
    document = read_document(path)
    if not isinstance(document.content, dict):
        finding = JobFileFinding(line=1, column=1, path="", message="the file holds no PaftJob: it is not a map")
        raise JobFileInvalid(str(path), [finding])
    try:
        return PaftJob.model_validate_json(json.dumps(document.content))
    except ValidationError as error:
        findings = [_finding(document, details) for details in _causes(error.errors(include_url=False))]
        raise JobFileInvalid(str(path), sorted(findings, key=_place)) from None


def _causes(errors: list[ErrorDetails]) -> list[ErrorDetails]:
    """Without those that only follow from others: a list whose entries are wrong counts as empty."""
    return [
        details
        for details in errors
        if details["type"] != "too_short"
        or not any(other["loc"][: len(details["loc"])] == details["loc"] for other in errors if other is not details)
    ]


def _place(finding: JobFileFinding) -> tuple[int, int]:
    return finding.line or 0, finding.column or 0


def _finding(document: PlacedDocument, details: ErrorDetails) -> JobFileFinding:
    path = tuple(part for part in details["loc"] if part != "[key]")
    line, column = _nearest_place(document, path)
    return JobFileFinding(line=line, column=column, path=render_path(path), message=_message(path, details))


def _nearest_place(document: PlacedDocument, path: Path_) -> tuple[int, int]:
    while path not in document.places and path:
        path = path[:-1]
    return document.places.get(path, (1, 1))


def _message(path: Path_, details: ErrorDetails) -> str:
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
        case "greater_than" | "greater_than_equal" | "less_than" | "less_than_equal":
            return f"{value} is out of bounds; {_bound(details['type'], context)}"
        case "string_pattern_mismatch":
            return f"{value} does not have the right form; {_form(path)}"
        case "string_too_long":
            return f"too long ({len(str(details['input']))} characters); at most {context['max_length']} are allowed"
        case "string_too_short":
            return f"{value} is too short; at least {context['min_length']} characters are needed"
        case "too_long" | "too_short":
            few = details["type"] == "too_short"
            limit = context["min_length"] if few else context["max_length"]
            return f"{context['actual_length']} entries; {'at least' if few else 'at most'} {limit} are allowed"
        case "value_error":
            return str(context["error"])
        case "int_from_float":
            return f"{value} is not a whole number"
        case type_ if type_.endswith("_type"):
            return f"{value} is {_kind(details['input'])}, not {_KINDS.get(type_, type_.removesuffix('_type'))}"
        case _:
            return f"{value}: {details['msg']}"


_KINDS = {
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "text",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
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


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "true or false"
    names = {dict: "a map", list: "a list", str: "text", int: "a number", float: "a number", type(None): "empty"}
    return names[type(value)]


def _bound(type_: str, context: dict[str, Any]) -> str:
    key, words = _BOUNDS[type_]
    return f"{words} {context[key]}"


def _allowed(expected: str) -> list[str]:
    return [part.strip().strip("'") for part in expected.replace(" or ", ", ").split(",")]


def _joined(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _did_you_mean(word: str, known: list[str]) -> str:
    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    if close:
        return f". Did you mean {by_lower[close[0]]}?"
    return ""


def _form(path: Path_) -> str:
    """What a text must look like, from the field's own words."""
    name = str(path[-1]) if path else ""
    if name.lower().endswith("uri"):
        return "write s3://bucket/folder/ or file:///absolute/path/"
    if path[-2:] == ("metadata", "name"):
        return "use lower-case letters, digits and -, starting with a letter"
    if name == "endpoint":
        return "write http://host:port or https://host:port"
    if name == "maxShardSize":
        return "write a whole number and KB, MB or GB, such as 5GB"
    if name in ("cpu", "memory", "sharedMemory"):
        return "write a Kubernetes quantity such as 4, 500m or 64Gi"
    return "use lower-case letters, digits and -"


def _description(path: Path_) -> str:
    field = next((field for field in _walk(PaftJob, path) if field is not None), None)
    return "" if field is None else f"; it is: {field}"


def _walk(model: type[BaseModel], path: Path_) -> Iterator[str | None]:
    parent = _model_at(model, path[:-1])
    if parent is not None:
        for name, info in parent.model_fields.items():
            if path[-1] in (info.alias, name) and info.description:
                yield " ".join(info.description.split())


def _fields_beside(path: Path_) -> list[str]:
    parent = _model_at(PaftJob, path[:-1])
    return [] if parent is None else [info.alias or name for name, info in parent.model_fields.items()]


def _model_at(model: type[BaseModel], path: Path_) -> type[BaseModel] | None:
    current: type[BaseModel] | None = model
    for part in path:
        if current is None:
            return None
        if isinstance(part, int):
            continue
        annotation = next(
            (info.annotation for name, info in current.model_fields.items() if part in (info.alias, name)), None
        )
        current = _model_in(annotation)
    return current


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model inside `X`, `X | None`, `tuple[X, ...]` or an annotated form of them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for argument in get_args(annotation) if (found := _model_in(argument)) is not None), None)


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "…"

"""docs/reference/paftjob.md and causes.md from the models: `python -m paft_api.reference --write | --check`."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from paft_api.causes import CAUSE_FACTS, EXIT_STOPPED, EXIT_SUCCEEDED
from paft_api.generated_pages import NOTE, write_or_check
from paft_api.model import Model
from paft_api.model_fields import is_list, model_in
from paft_api.spec import PaftJob

DIRECTORY = Path("docs/reference")
_COLUMNS = "| Field | Type | Allowed | Default | Meaning |\n|---|---|---|---|---|"


def pages() -> dict[str, str]:
    """Text of each page by its file name."""
    return {"paftjob.md": _paftjob_page(), "causes.md": _causes_page()}


def main(arguments: list[str] | None = None) -> int:
    """Write the pages, or tell whether they are up to date."""
    return write_or_check(pages(), arguments, program="paft_api.reference", default_directory=DIRECTORY)


def _paftjob_page() -> str:
    sections = [f"# PaftJob\n\n{NOTE}\n", "Fields without a default are required. Names are case-sensitive.\n"]
    sections += _sections(PaftJob)
    return "\n".join(sections)


def _sections(document: type[BaseModel]) -> Iterator[str]:
    """One section per block of fields; where blocks differ little, the second tells only what is different."""
    places: dict[type[BaseModel], list[str]] = {}
    for path, model in _blocks(document, ""):
        places.setdefault(model, []).append(path)
    seen: dict[type[BaseModel], str] = {}
    for model, paths in places.items():
        heading = ", ".join(f"`{path}`" for path in paths) if paths[0] else "The document"
        text = " ".join((model.__doc__ or "").split())
        rows = _rows(model)
        family = model.__mro__[1]
        if family in seen:
            first = next(other for other in places if other.__mro__[1] is family)
            rows = [row for row in rows if row not in _rows(first)]
            missing = [f"`{info.alias}`" for name, info in first.model_fields.items() if name not in model.model_fields]
            without = f" without {', '.join(missing)}, and" if missing else ""
            text += f" As `{seen[family]}`,{without} except for:"
        elif family is not Model:
            seen[family] = paths[0]
        yield f"## {heading}\n\n{text}\n\n{_COLUMNS}\n" + "\n".join(rows) + "\n"


def _blocks(model: type[BaseModel], path: str) -> Iterator[tuple[str, type[BaseModel]]]:
    yield path, model
    for name, field in model.model_fields.items():
        inner = model_in(field.annotation)
        if inner is not None:
            child = f"{path}.{field.alias or name}" if path else field.alias or name
            yield from _blocks(inner, f"{child}[]" if is_list(field) else child)


def _rows(model: type[BaseModel]) -> list[str]:
    schema = model.model_json_schema()
    rows = []
    for name, field in model.model_fields.items():
        alias = field.alias or name
        described, _, default = " ".join((field.description or "").split()).partition("Default: ")
        if not default and not field.is_required():
            default = _shown_default(field.default)
        inner = model_in(field.annotation)
        kind, allowed = ("block", "") if inner is not None else _kind(_resolved(schema, schema["properties"][alias]))
        if inner is not None and is_list(field):
            kind, allowed = "list of blocks", _entries(_resolved(schema, schema["properties"][alias]))
        rows.append(f"| `{alias}` | {kind} | {allowed} | {_cell(default.rstrip('.'))} | {_prose(described.strip())} |")
    return rows


def _shown_default(default: object) -> str:
    if isinstance(default, BaseModel):
        return "that of its fields"
    return "none" if default is None or default == () else str(default) or "empty"


def _resolved(root: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Without references and without the alternative `null`, which means unset."""
    if "$ref" in schema:
        return dict(root["$defs"][schema["$ref"].rpartition("/")[2]])
    for alternative in schema.get("anyOf", ()):
        if alternative.get("type") != "null":
            return _resolved(root, alternative)
    return schema


def _kind(schema: dict[str, Any]) -> tuple[str, str]:
    """Type and bounds in words."""
    if "const" in schema:
        return "text", f"`{schema['const']}`"
    if "enum" in schema:
        return "text", ", ".join(f"`{value}`" for value in schema["enum"])
    match schema.get("type"):
        case "integer" | "number" as name:
            return name, _range(schema)
        case "boolean":
            return "boolean", ""
        case "array":
            kind, allowed = _kind(schema["items"])
            return f"list of {kind}", f"{_entries(schema)}, each {allowed}" if allowed else _entries(schema)
        case "object":
            return "map", f"at most {schema['maxProperties']} entries"
        case _:
            return ("time", "RFC 3339") if schema.get("format") == "date-time" else ("text", _text(schema))


def _range(schema: dict[str, Any]) -> str:
    signs = (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<"))
    return ", ".join(f"{sign} {schema[key]:.15g}" for key, sign in signs if key in schema)


def _entries(schema: dict[str, Any]) -> str:
    low, high = schema.get("minItems", 0), schema["maxItems"]
    if low == high:
        return f"exactly {high}"
    return f"{low} to {high}" if low else f"at most {high}"


def _text(schema: dict[str, Any]) -> str:
    length = f"at most {schema['maxLength']} characters"
    return f"{length}, `{_cell(schema['pattern'])}`" if "pattern" in schema else length


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _prose(text: str) -> str:
    return _cell(text).replace("*", "\\*")


def _causes_page() -> str:
    lines = [
        f"# Causes and exit codes\n\n{NOTE}\n",
        "Every stage ends with one of these exit codes, and every failure has one of these causes: in the status, in",
        "the termination message and in what `paft run` prints. Retryable ones start another attempt, up to",
        "`runPolicy.backoffLimit`; permanent ones fail the job.\n",
        f"`{EXIT_SUCCEEDED}`: the stage has its result. `{EXIT_STOPPED}`: it was asked to stop, saved, and can be",
        "continued.\n",
        "| Cause | Exit code | Kind | What to do |\n|---|---|---|---|",
    ]
    for cause, facts in CAUSE_FACTS.items():
        kind = "retryable" if facts.retryable else "permanent"
        lines.append(f"| `{cause}` | {facts.exit_code} | {kind} | {facts.remedy} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())

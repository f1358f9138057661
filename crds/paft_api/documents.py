"""From a job file to a PaftJob, or to every error in it, told so that a person can mend them."""

import json
from collections.abc import Set
from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from paft_api.errors import JobFileFinding, JobFileInvalid
from paft_api.model_fields import field_at
from paft_api.spec import PaftJob
from paft_api.validation_messages import message_of
from paft_api.yaml_documents import FieldPath, PlacedDocument, read_document, render_path


def load_job(path: Path) -> PaftJob:
    """Read and check a job file. Raises JobFileInvalid with all that is wrong."""
    document = read_document(path)
    unread = {path for path, _ in document.findings}
    findings = [finding for _, finding in document.findings]
    if not isinstance(document.content, dict):
        raise JobFileInvalid(str(path), findings or [_no_map(document)])
    try:
        job = PaftJob.model_validate_json(json.dumps(document.content))
    except ValidationError as error:
        findings += [_finding(document, details) for details in causes(error.errors(include_url=False), unread)]
    if findings:
        raise JobFileInvalid(str(path), sorted(findings, key=_place))
    return job


def _no_map(document: PlacedDocument) -> JobFileFinding:
    line, column = document.places[()]
    return JobFileFinding(line=line, column=column, path="", message="the file holds no PaftJob: it is not a map")


def causes(errors: list[ErrorDetails], unread: Set[FieldPath] = frozenset()) -> list[ErrorDetails]:
    """Without those that only follow from others: from values YAML made no sense of, or list entries that failed.

    `unread`: the places of such values.
    """
    return [
        details
        for details in errors
        if not any(details["loc"][: len(path)] == path for path in unread)
        and not (
            details["type"] == "too_short"
            and any(other["loc"][: len(details["loc"])] == details["loc"] for other in errors if other is not details)
        )
    ]


def _place(finding: JobFileFinding) -> tuple[int, int]:
    return finding.line or 0, finding.column or 0


def _finding(document: PlacedDocument, details: ErrorDetails) -> JobFileFinding:
    path, message = located(details)
    line, column = nearest_place(document, path)
    return JobFileFinding(line=line, column=column, path=render_path(path), message=message)


def located(details: ErrorDetails, below: FieldPath = ()) -> tuple[FieldPath, str]:
    """The field that an error is about, and what is wrong. `below`: where in a PaftJob the checked block belongs."""
    path = (*below, *(part for part in details["loc"] if part != "[key]"))
    message = message_of(path, details)
    if details["type"] == "value_error":
        path, message = _at_named_field(path, message)
    return path[len(below) :], message


def _at_named_field(path: FieldPath, message: str) -> tuple[FieldPath, str]:
    """A check across fields begins its message with the path of the one to mend: its finding belongs there."""
    first, _, rest = message.partition(" ")
    named = (*path, *parse_path(first))
    if field_at(PaftJob, named) is None:
        return path, message
    return named, rest


def parse_path(text: str) -> FieldPath:
    """The inverse of `render_path`: `data.train[0]` becomes ("data", "train", 0)."""
    parts: list[str | int] = []
    for name in text.split("."):
        word, *indices = name.replace("]", "").split("[")
        parts += [word, *(int(index) for index in indices if index.isdigit())]
    return tuple(parts)


def nearest_place(document: PlacedDocument, path: FieldPath) -> tuple[int, int]:
    """Line and column of a field, or of what it should be in."""
    while path not in document.places and path:
        path = path[:-1]
    return document.places.get(path, (1, 1))

"""JSON documents from strangers: bounded before they are parsed, and nothing in them can be read in two ways."""

import json
import re
from typing import Any

from paft_trainer.errors import StageError
from paft_trainer.storage import ObjectMissing, ObjectStore

MAXIMUM_BYTES = 32 * 1024 * 1024
"""Of one document. The header of 150,000 tensors, and the index of as many, are smaller."""

MAXIMUM_PARTS = 2_000_000
"""Brackets, commas and colons in one document, each of which may become an object of some 100 bytes in memory."""

_SHOWN_CHARACTERS = 120


class BrokenDocument(ValueError):
    """No JSON object that has one meaning. The text follows "is"."""


def parse_object(content: bytes) -> dict[str, Any]:
    """The JSON object in `content`. Raises BrokenDocument, also where a name occurs twice in one of its objects.

    Readers differ in what they make of double names, NaN, half surrogate pairs and other encodings than UTF-8, so none
    of these is accepted.
    """
    if len(content) > MAXIMUM_BYTES:
        raise BrokenDocument(f"too large: {len(content)} bytes, more than the {MAXIMUM_BYTES} that are read here")
    parts = sum(content.count(sign) for sign in (b"{", b"[", b",", b":"))
    if parts > MAXIMUM_PARTS:
        raise BrokenDocument(f"too large: {parts} parts, more than the {MAXIMUM_PARTS} that are read here")
    try:
        document = json.loads(content.decode("utf-8"), object_pairs_hook=_unique_names, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BrokenDocument(f"no JSON: {error}") from error
    if not isinstance(document, dict):
        raise BrokenDocument("no JSON object")
    return document


def read_object(store: ObjectStore, uri: str) -> dict[str, Any]:
    """Read and parse a document; its size is looked at before. Raises ObjectMissing or BrokenDocument."""
    return parse_object(read_bounded(store, uri))


def read_bounded(store: ObjectStore, uri: str) -> bytes:
    """The bytes of a document. Raises ObjectMissing, or BrokenDocument where there are more than a document has."""
    info = store.head(uri)
    if info is None:
        raise ObjectMissing(f"{uri}: there is no such object", remedy="Check the address.")
    if info.size > MAXIMUM_BYTES:
        raise BrokenDocument(f"too large: {info.size} bytes, more than the {MAXIMUM_BYTES} that are read here")
    return store.read(uri)


def shown(value: object) -> str:
    """Names and values of strangers as messages show them: in one line, printable, and no longer than people read."""
    if isinstance(value, str) and re.fullmatch(r"[\w./:@+=*-]+", value):
        return _cut(value)
    return quoted(value)


def quoted(value: object) -> str:
    """The same, texts always in quotation marks."""
    return _cut(repr(value))


def refused(kind: type[StageError], uri: str, what: str, error: BrokenDocument, *, remedy: str) -> StageError:
    """The error of a stage for a broken document: `uri` is no `what`, and why."""
    return kind(f"{uri} is no {what}: it is {error}", remedy=remedy)


def _cut(text: str) -> str:
    if len(text) <= _SHOWN_CHARACTERS:
        return text
    return f"{text[:_SHOWN_CHARACTERS]}… ({len(text)} characters)"


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a name occurs twice")
    for name, value in pairs:
        for text in (name, value):
            if isinstance(text, str) and not text.isascii():
                text.encode("utf-8")
    return document


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")

"""JSONL rows from an object store, each checked against the format that its source promises."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from paft_api.digests import data_digest
from paft_api.layout import index_uri
from paft_api.spec.data import DataFormat, DataSource
from paft_trainer.base.identity import listing_digest
from paft_trainer.data.row_checks import check_alike, check_messages, shown, shown_keys
from paft_trainer.errors import DataInvalid
from paft_trainer.storage import ObjectInfo, ObjectMissing, ObjectStore

Row = dict[str, Any]


def read_source(store: ObjectStore, source: DataSource) -> Iterator[Row]:
    """The rows of one source, in order; keys that its format does not know are left out.

    Raises DataInvalid for the first row that does not fit, naming file, line, field and value.
    """
    files = store.of_source(source)
    for info in source_files(files, source):
        yield from _read_file(info.uri, files.read(info.uri), source.format)


def source_files(store: ObjectStore, source: DataSource) -> list[ObjectInfo]:
    """The file of a source, or the `*.jsonl` files of its folder in order of their names. `store`: the source's own."""
    if not source.uri.endswith("/"):
        info = store.head(source.uri)
        if info is None:
            raise _no_such_file(store, source.uri)
        return [info]
    files = [info for info in store.list(source.uri) if info.uri.endswith(".jsonl")]
    if not files:
        raise ObjectMissing(f"{source.uri} has no *.jsonl files", remedy="Check the address.")
    return files


def _no_such_file(store: ObjectStore, uri: str) -> ObjectMissing:
    if next(iter(store.list(f"{uri}/")), None) is not None:
        return ObjectMissing(f"{uri} is a folder", remedy=f"Write it with a slash at the end: {uri}/")
    return ObjectMissing(f"{uri}: there is no such file", remedy="Check the address.")


def digest_sources(store: ObjectStore, sources: Sequence[DataSource], artifacts_uri: str) -> str:
    """Digest of the sources' content; hashes of unchanged files come from the index under `artifacts_uri`."""
    return data_digest([(source, _hashed_files(store, source, artifacts_uri)) for source in sources])


def _hashed_files(store: ObjectStore, source: DataSource, artifacts_uri: str) -> list[tuple[str, str]]:
    files = store.of_source(source)
    return [(info.uri, _file_sha256(store, files, info, artifacts_uri)) for info in source_files(files, source)]


def _file_sha256(store: ObjectStore, files: ObjectStore, info: ObjectInfo, artifacts_uri: str) -> str:
    cache_uri = index_uri(artifacts_uri, listing_digest([info]))
    if store.head(cache_uri) is not None:
        cached: dict[str, str] = json.loads(store.read(cache_uri))
        return cached["sha256"]
    sha256 = hashlib.sha256(files.read(info.uri)).hexdigest()
    store.put(cache_uri, json.dumps({"uri": info.uri, "sha256": sha256}).encode())
    return sha256


def _read_file(uri: str, content: bytes, format_: DataFormat) -> Iterator[Row]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataInvalid(f"{uri}:{line}: not UTF-8 at byte {error.start}", remedy="Save the file as UTF-8.") from error
    found = False
    for number, line_text in enumerate(text.split("\n"), start=1):
        if line_text.strip():
            found = True
            yield _read_line(f"{uri}:{number}", line_text, format_)
    if not found:
        raise DataInvalid(f"{uri}: the file has no rows", remedy="Add rows, or take the file out of the sources.")


def _read_line(place: str, text: str, format_: DataFormat) -> Row:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise _no_json(place, f"{error.msg} at column {error.colno}") from error
    except RecursionError as error:
        raise _no_json(place, "it is nested too deeply") from error
    except ValueError as error:
        raise _no_json(place, str(error)) from error
    if not isinstance(document, dict):
        raise DataInvalid(
            f"{place}: {shown(document)} is not a JSON object", remedy="Each line must be one JSON object."
        )
    return _READERS[format_](place, document)


def _no_json(place: str, reason: str) -> DataInvalid:
    return DataInvalid(f"{place}: not JSON: {reason}", remedy="Each line must be one JSON object.")


def _read_messages(place: str, document: Row) -> Row:
    messages = _required(place, document, "messages")
    check_messages(place, "messages", messages)
    turns = [message["content"] for message in messages if message["role"] == "assistant"]
    if not turns:
        raise DataInvalid(
            f"{place}: messages has no turn of the assistant, so nothing can be learnt from it",
            remedy="Add the assistant's answer or take the row out.",
        )
    if not any(content.strip() for content in turns):
        raise DataInvalid(
            f"{place}: the assistant says nothing in messages, so nothing can be learnt from it",
            remedy="Fill the assistant's content in or take the row out.",
        )
    return {"messages": messages}


def _read_prompt_completion(place: str, document: Row) -> Row:
    row = {name: _required(place, document, name) for name in ("prompt", "completion")}
    check_alike(place, row)
    return row


def _read_preference(place: str, document: Row) -> Row:
    row = {name: _required(place, document, name) for name in ("prompt", "chosen", "rejected")}
    check_alike(place, row)
    if row["chosen"] == row["rejected"]:
        raise DataInvalid(
            f"{place}: chosen and rejected are equal, so the pair says nothing", remedy="Take the row out."
        )
    return row


_READERS: dict[DataFormat, Callable[[str, Row], Row]] = {
    DataFormat.MESSAGES: _read_messages,
    DataFormat.PROMPT_COMPLETION: _read_prompt_completion,
    DataFormat.PREFERENCE: _read_preference,
}


def _required(place: str, document: Row, name: str) -> Any:
    if name not in document:
        raise DataInvalid(
            f"{place}: the field {name} is missing; the row has {shown_keys(document)}",
            remedy="Add the field, or correct `format` of this source.",
        )
    return document[name]

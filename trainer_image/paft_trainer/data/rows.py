"""JSONL rows from an object store, each checked against the format that its source promises."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from paft_api.digests import data_digest
from paft_api.layout import index_uri
from paft_api.spec.data import DataFormat, DataSource
from paft_trainer.base_index import listing_digest
from paft_trainer.errors import DataInvalid
from paft_trainer.storage import ObjectInfo, ObjectMissing, ObjectStore

Row = dict[str, Any]

ROLES = ("system", "user", "assistant", "tool")


def load_rows(store: ObjectStore, sources: Sequence[DataSource]) -> list[Row]:
    """All rows of all sources, in order; keys that a format does not know are left out.

    Raises DataInvalid for the first row that does not fit, naming file, line, field and value.
    """
    return [row for source in sources for row in read_source(store, source)]


def read_source(store: ObjectStore, source: DataSource) -> Iterator[Row]:
    """The rows of one source."""
    for info in source_files(store, source):
        yield from _read_file(info.uri, store.read(info.uri), source.format)


def source_files(store: ObjectStore, source: DataSource) -> list[ObjectInfo]:
    """The file of a source, or the `*.jsonl` files of its folder in order of their names."""
    if not source.uri.endswith("/"):
        info = store.head(source.uri)
        if info is None:
            raise ObjectMissing(f"{source.uri}: there is no such file", remedy="Check the address.")
        return [info]
    files = [info for info in store.list(source.uri) if info.uri.endswith(".jsonl")]
    if not files:
        raise ObjectMissing(f"{source.uri} has no *.jsonl files", remedy="Check the address.")
    return files


def digest_sources(store: ObjectStore, sources: Sequence[DataSource], artifacts_uri: str) -> str:
    """Digest of the sources' content; hashes of unchanged files come from the index under `artifacts_uri`."""
    return data_digest(
        [
            (source, [(info.uri, _file_sha256(store, info, artifacts_uri)) for info in source_files(store, source)])
            for source in sources
        ]
    )


def _file_sha256(store: ObjectStore, info: ObjectInfo, artifacts_uri: str) -> str:
    cache_uri = index_uri(artifacts_uri, listing_digest([info]))
    if store.head(cache_uri) is not None:
        cached: dict[str, str] = json.loads(store.read(cache_uri))
        return cached["sha256"]
    sha256 = hashlib.sha256(store.read(info.uri)).hexdigest()
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
    except ValueError as error:
        raise DataInvalid(f"{place}: not JSON: {error}", remedy="Each line must be one JSON object.") from error
    if not isinstance(document, dict):
        raise DataInvalid(
            f"{place}: {_shown(document)} is not a JSON object", remedy="Each line must be one JSON object."
        )
    return _READERS[format_](place, document)


def _read_messages(place: str, document: Row) -> Row:
    messages = _required(place, document, "messages")
    _check_messages(place, "messages", messages)
    if not any(message["role"] == "assistant" for message in messages):
        raise DataInvalid(
            f"{place}: messages has no turn of the assistant, so nothing can be learnt from it",
            remedy="Add the assistant's answer or take the row out.",
        )
    return {"messages": messages}


def _read_prompt_completion(place: str, document: Row) -> Row:
    row = {name: _required(place, document, name) for name in ("prompt", "completion")}
    _check_alike(place, row)
    return row


def _read_preference(place: str, document: Row) -> Row:
    row = {name: _required(place, document, name) for name in ("prompt", "chosen", "rejected")}
    _check_alike(place, row)
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
        keys = ", ".join(sorted(document)) or "none"
        raise DataInvalid(
            f"{place}: the field {name} is missing; the row has {keys}",
            remedy="Add the field, or correct `format` of this source.",
        )
    return document[name]


def _check_alike(place: str, row: Row) -> None:
    """All fields are texts, or all are message lists whose answers are the assistant's."""
    if all(isinstance(value, str) for value in row.values()):
        for name, value in row.items():
            if not value.strip():
                raise DataInvalid(f"{place}: {name} is empty", remedy="Fill it in or take the row out.")
        return
    for name, value in row.items():
        _check_messages(place, name, value)
        if name != "prompt" and value[-1]["role"] != "assistant":
            raise DataInvalid(
                f"{place}: {name} ends with role {value[-1]['role']!r}",
                remedy="An answer must end with a message of role assistant.",
            )


def _check_messages(place: str, name: str, messages: Any) -> None:
    if not isinstance(messages, list) or not messages:
        raise DataInvalid(
            f"{place}: {name} is {_shown(messages)}, not a list of messages",
            remedy='Write it as [{"role": "user", "content": "…"}, …]; all fields of a row have the same form.',
        )
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or "role" not in message or "content" not in message:
            raise DataInvalid(
                f"{place}: {name}[{index}] is {_shown(message)}, not a message with role and content",
                remedy='Write it as {"role": "user", "content": "…"}.',
            )
        if message["role"] not in ROLES:
            raise DataInvalid(
                f"{place}: {name}[{index}].role is {_shown(message['role'])}", remedy=f"Use {', '.join(ROLES)}."
            )
        if not isinstance(message["content"], str):
            raise DataInvalid(
                f"{place}: {name}[{index}].content is {_shown(message['content'])}, not text",
                remedy="Content must be text.",
            )


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "…"

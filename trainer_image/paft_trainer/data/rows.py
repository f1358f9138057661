"""Rows of a source, each converted from the form that the source promises, and the digest of what they come from."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from paft_api.digests import data_digest
from paft_api.layout import index_uri
from paft_api.spec.data import DataSource, FileType
from paft_trainer.base.identity import listing_digest
from paft_trainer.data.bad_rows import BadRows
from paft_trainer.data.columns import take_columns
from paft_trainer.data.files import TypedFile, source_files
from paft_trainer.data.forms import FORMS, Row
from paft_trainer.data.readers import READERS
from paft_trainer.data.readers.delimited import parsed_lists
from paft_trainer.data.readers.reader import BlockIndex, Record
from paft_trainer.errors import DataInvalid
from paft_trainer.read_ahead import ReadAhead
from paft_trainer.storage import ObjectStore


class PlacedRow(NamedTuple):
    """`place`: file and line of the row, or file and number of the row."""

    place: str
    row: Row


def read_source(store: ObjectStore, source: DataSource, bad_rows: BadRows | None = None) -> Iterator[Row]:
    """The rows of one source, in order; fields that its format does not know are left out.

    Raises DataInvalid for a row that does not fit, naming file, line, field and value.
    """
    for placed in read_placed(store, source, bad_rows or BadRows()):
        yield placed.row


def read_placed(store: ObjectStore, source: DataSource, bad_rows: BadRows) -> Iterator[PlacedRow]:
    """The same, with their places."""
    for typed in source_files(store, source):
        reader, index = READERS[typed.type], index_file(typed)
        for number in range(len(index.places)):
            block = reader.block(typed.file, index, number)
            for position in range(len(block)):
                placed: PlacedRow | None = None
                with bad_rows.left_out():
                    placed = convert(typed.type, source, block.record(position))
                if placed is not None:
                    yield placed


def index_file(typed: TypedFile) -> BlockIndex:
    """The blocks of a file. Raises DataInvalid where it has no rows."""
    index = READERS[typed.type].index(typed.file)
    if not index.rows:
        raise DataInvalid(
            f"{typed.file.uri}: the file has no rows", remedy="Add rows, or take the file out of the sources."
        )
    return index


def convert(type_: FileType, source: DataSource, record: Record) -> PlacedRow:
    """A row as training takes it. Raises DataInvalid."""
    place, document = record.place, take_columns(record.place, record.document, source.columns)
    if type_ in (FileType.CSV, FileType.TSV):
        document = parsed_lists(place, document)
    return PlacedRow(place, FORMS[source.format](place, document))


def digest_sources(store: ObjectStore, sources: Sequence[DataSource], artifacts_uri: str) -> str:
    """Digest of the sources' content; hashes of unchanged files come from the index under `artifacts_uri`."""
    return data_digest([(source, _hashed_files(store, source, artifacts_uri)) for source in sources])


def _hashed_files(store: ObjectStore, source: DataSource, artifacts_uri: str) -> list[tuple[str, str]]:
    return [(typed.file.uri, _content_identity(store, typed, artifacts_uri)) for typed in source_files(store, source)]


def _content_identity(store: ObjectStore, typed: TypedFile, artifacts_uri: str) -> str:
    """SHA-256 of a file, after its type where that is not JSONL, and after `tools:` where its rows may have tools."""
    facts = _file_facts(store, typed, artifacts_uri)
    if typed.type is not FileType.JSONL:
        return f"{typed.type}:{facts['sha256']}"
    # Tools of chats were once left out: such rows give other tokens than the same file did then.
    return f"tools:{facts['sha256']}" if facts["tools"] else facts["sha256"]


def _file_facts(store: ObjectStore, typed: TypedFile, artifacts_uri: str) -> dict[str, Any]:
    info = typed.file.info
    cache_uri = index_uri(artifacts_uri, listing_digest([info]))
    if store.head(cache_uri) is not None:
        cached: dict[str, Any] = json.loads(store.read(cache_uri))
        if "tools" in cached:
            return cached
    sha256, has_tools, end = hashlib.sha256(), False, b""
    with ReadAhead(typed.file.store) as reads:
        for chunk in reads.chunks(info.uri, 0, info.size, etag=info.etag):
            sha256.update(chunk)
            has_tools = has_tools or _TOOLS in end + chunk
            end = chunk[-len(_TOOLS) :]
    facts = {"uri": info.uri, "sha256": sha256.hexdigest(), "tools": has_tools}
    store.put(cache_uri, json.dumps(facts).encode())
    return facts


_TOOLS = b'"tools"'
"""The name of a field, as JSON writes it."""

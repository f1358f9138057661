"""Safetensors files in an object store, read by ranges and written as streams.

Format: 8 bytes little-endian header length, a JSON header, then the tensors' bytes
(https://huggingface.co/docs/safetensors). Headers come from strangers: nothing is allocated by what one claims.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from paft_trainer.errors import ArtifactMismatch
from paft_trainer.storage import ObjectStore

MAXIMUM_HEADER_BYTES = 100_000_000
"""The safetensors library's own limit."""

DTYPE_BYTES = {
    "F64": 8,
    "F32": 4,
    "F16": 2,
    "BF16": 2,
    "I64": 8,
    "I32": 4,
    "I16": 2,
    "I8": 1,
    "U64": 8,
    "U32": 4,
    "U16": 2,
    "U8": 1,
    "BOOL": 1,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "F8_E8M0": 1,
    "C64": 8,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorEntry:
    """One tensor. `start`: offset of its first byte in the file. `size`: bytes."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SafetensorsHeader:
    """A parsed header. `entries` are in the order of their bytes; they follow one another without gaps."""

    entries: tuple[TensorEntry, ...]
    data_start: int
    metadata: dict[str, str]


def read_header(store: ObjectStore, uri: str) -> SafetensorsHeader:
    """Read and check the header of a file. Raises ArtifactMismatch for anything that is no proper safetensors file."""
    info = store.head(uri)
    if info is None:
        raise _broken(uri, "it does not exist")
    if info.size < 8:
        raise _broken(uri, f"it has only {info.size} bytes")
    length = int.from_bytes(store.read_range(uri, 0, 8), "little")
    if length > min(MAXIMUM_HEADER_BYTES, info.size - 8):
        raise _broken(uri, f"its header claims {length} bytes, more than the file or the format allows")
    return parse_header(uri, store.read_range(uri, 8, length), file_size=info.size)


def parse_header(uri: str, header: bytes, *, file_size: int) -> SafetensorsHeader:
    """Check a header against the size of its file. Raises ArtifactMismatch."""
    try:
        document = json.loads(header, object_pairs_hook=_unique_keys)
    except (ValueError, RecursionError) as error:
        raise _broken(uri, f"its header is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise _broken(uri, "its header is no JSON object")
    metadata = document.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _broken(uri, "its __metadata__ is no map of texts")
    data_start = 8 + len(header)
    entries = sorted(
        (_entry(uri, name, value, data_start) for name, value in document.items()),
        key=lambda entry: (entry.start, entry.size),
    )
    position = data_start
    for entry in entries:
        if entry.start != position:
            raise _broken(uri, f"tensor {entry.name} does not begin where the one before it ends")
        position += entry.size
    if position != file_size:
        raise _broken(uri, f"its tensors end at byte {position}, but the file at {file_size}")
    return SafetensorsHeader(entries=tuple(entries), data_start=data_start, metadata=metadata)


def encode_header(tensors: Sequence[tuple[str, str, tuple[int, ...]]], *, metadata: Mapping[str, str]) -> bytes:
    """The bytes before the tensors of a file that holds (name, dtype, shape) in this order; padded to 8 bytes."""
    document: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    position = 0
    for name, dtype, shape in tensors:
        size = math.prod(shape) * DTYPE_BYTES[dtype]
        document[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [position, position + size]}
        position += size
    header = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header


def read_chunks(store: ObjectStore, uri: str, start: int, size: int, *, chunk_bytes: int) -> Iterator[bytes]:
    """`size` bytes from `start`, in pieces of at most `chunk_bytes`."""
    end = start + size
    while start < end:
        length = min(chunk_bytes, end - start)
        yield store.read_range(uri, start, length)
        start += length


def _entry(uri: str, name: str, value: Any, data_start: int) -> TensorEntry:
    try:
        dtype, shape, (begin, end) = value["dtype"], value["shape"], value["data_offsets"]
    except (TypeError, KeyError, ValueError) as error:
        raise _broken(uri, f"tensor {name} lacks dtype, shape or data_offsets") from error
    if not isinstance(dtype, str) or dtype not in DTYPE_BYTES:
        raise _broken(uri, f"tensor {name} has the unknown dtype {dtype!r}")
    if not isinstance(shape, list) or not all(_is_count(dimension) for dimension in shape):
        raise _broken(uri, f"tensor {name} has the shape {shape!r}")
    if not (_is_count(begin) and _is_count(end) and end - begin == math.prod(shape) * DTYPE_BYTES[dtype]):
        raise _broken(uri, f"tensor {name} of shape {shape} and dtype {dtype} does not fit its offsets {begin}, {end}")
    return TensorEntry(name=name, dtype=dtype, shape=tuple(shape), start=data_start + begin, size=end - begin)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**60


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a name occurs twice")
    return document


def _broken(uri: str, reason: str) -> ArtifactMismatch:
    return ArtifactMismatch(f"{uri} is no proper safetensors file: {reason}", remedy="Write the file again.")

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
from paft_trainer.foreign_documents import MAXIMUM_BYTES, BrokenDocument, parse_object, quoted, shown
from paft_trainer.storage import ObjectInfo, ObjectStore

MAXIMUM_HEADER_BYTES = MAXIMUM_BYTES
"""Less than the 100 MB of the safetensors library, which are many times as much once they are parsed."""

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

_TOO_MUCH = 2**60
"""No count in a header, in bytes or elements, may be as large."""

_OTHER_FORMATS = {
    b"\x1f\x8b": "it is compressed with gzip",
    b"PK\x03\x04": "it is a zip archive, such as torch.save makes of pickled weights",
    b"version ": "it is a pointer of Git LFS; fetch the file itself with git lfs pull",
    b"GGUF": "it is a GGUF file",
    b"<!DOC": "it is a web page",
    b"<html": "it is a web page",
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
    return parse_header(uri, read_raw_header(store, info)[8:], file_size=info.size)


def read_raw_header(store: ObjectStore, info: ObjectInfo) -> bytes:
    """All bytes before the tensors of the content that `info` tells of. Raises ArtifactMismatch where they cannot be a
    header, and ObjectChanged."""
    uri = info.uri
    if info.size < 8:
        raise _broken(uri, f"it has only {info.size} bytes")
    beginning = store.read_range(uri, 0, 8, etag=info.etag)
    length = int.from_bytes(beginning, "little")
    if length > info.size - 8:
        raise _broken(uri, _other_format(beginning) or f"its header claims {length} bytes, more than the file has")
    if length > MAXIMUM_HEADER_BYTES:
        raise _broken(uri, f"its header claims {length} bytes, more than the {MAXIMUM_HEADER_BYTES} that are read here")
    return beginning + store.read_range(uri, 8, length, etag=info.etag)


def parse_header(uri: str, header: bytes, *, file_size: int) -> SafetensorsHeader:
    """Check a header against the size of its file. Raises ArtifactMismatch."""
    try:
        document = parse_object(header)
    except BrokenDocument as error:
        raise _broken(uri, f"its header is {error}") from error
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
            raise _broken(uri, f"tensor {shown(entry.name)} does not begin where the one before it ends")
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
    tensor = f"tensor {shown(name)}"
    try:
        dtype, shape, (begin, end) = value["dtype"], value["shape"], value["data_offsets"]
    except (TypeError, KeyError, ValueError) as error:
        raise _broken(uri, f"{tensor} lacks dtype, shape or data_offsets") from error
    if not isinstance(dtype, str) or dtype not in DTYPE_BYTES:
        raise _broken(uri, f"{tensor} has the unknown dtype {quoted(dtype)}")
    if not isinstance(shape, list) or not all(_is_count(dimension) for dimension in shape):
        raise _broken(uri, f"{tensor} has the shape {shown(shape)}")
    if not (_is_count(begin) and _is_count(end) and end - begin == _bytes_of(shape, dtype)):
        raise _broken(
            uri,
            f"{tensor} of shape {shown(shape)} and dtype {dtype} does not fit its offsets {shown(begin)}, {shown(end)}",
        )
    return TensorEntry(name=name, dtype=dtype, shape=tuple(shape), start=data_start + begin, size=end - begin)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _TOO_MUCH


def _bytes_of(shape: list[int], dtype: str) -> int | None:
    """Bytes of a tensor, or None where readers with 64 bits would overflow on the way, also beside a dimension of 0."""
    size = DTYPE_BYTES[dtype]
    for dimension in shape:
        size *= dimension or 1
        if size >= _TOO_MUCH:
            return None
    return 0 if 0 in shape else size


def _other_format(beginning: bytes) -> str | None:
    """What else begins with these 8 bytes. Read as the length of a header they are far too much."""
    for magic, reason in _OTHER_FORMATS.items():
        if beginning.startswith(magic):
            return reason
    is_pickle = beginning[0] == 0x80 and 2 <= beginning[1] <= 5
    return "it is a pickle, which runs code when it is read" if is_pickle else None


def _broken(uri: str, reason: str) -> ArtifactMismatch:
    return ArtifactMismatch(f"{uri} is no proper safetensors file: {reason}", remedy="Write the file again.")

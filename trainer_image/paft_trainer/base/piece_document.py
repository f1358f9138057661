"""How a PieceIndex is kept: 8 bytes little-endian length, a JSON header of that length, then hashes of 32 bytes.

For each tensor, in the order of the header, come its SHA-256 and those of its pieces. How many there are follows from
its dtype and shape.
"""

import json
import math
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, ValidationError

from paft_api.model import Digest, Model
from paft_trainer.base.piece_index import HASH_BYTES, IndexedFile, IndexedTensor, PieceIndex, piece_bytes_of
from paft_trainer.errors import ArtifactMismatch
from paft_trainer.safetensors_files import DTYPE_BYTES

FORMAT_VERSION = 1

_Count = Annotated[int, Field(ge=0, lt=2**60)]
_Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
_FileName = Annotated[str, StringConstraints(min_length=1, pattern=r"^[^/\\]+$")]


class _File(Model):
    name: _FileName
    size: _Count
    etag: str
    data_start: _Count
    header_sha256: _Sha256


class _Header(Model):
    """`tensors`: name, number of the file, dtype, shape and offset in the file of each; lists, as there are many."""

    format_version: Literal[1]
    base_digest: Digest
    files: tuple[_File, ...]
    tensors: tuple[tuple[str, _Count, str, tuple[_Count, ...], _Count], ...]


def encode_pieces(index: PieceIndex) -> bytes:
    """The document."""
    numbers = {name: number for number, name in enumerate(index.files)}
    tensors = index.tensors.values()
    header = {
        "formatVersion": FORMAT_VERSION,
        "baseDigest": index.base_digest,
        "files": [
            {
                "name": file.name,
                "size": file.size,
                "etag": file.etag,
                "dataStart": file.data_start,
                "headerSha256": file.header_sha256,
            }
            for file in index.files.values()
        ],
        "tensors": [
            [tensor.name, numbers[tensor.file], tensor.dtype, list(tensor.shape), tensor.start] for tensor in tensors
        ],
    }
    encoded = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    hashes = [bytes.fromhex(tensor.sha256) + tensor.hashes for tensor in tensors]
    return b"".join([len(encoded).to_bytes(8, "little"), encoded, *hashes])


def parse_pieces(uri: str, content: bytes) -> PieceIndex:
    """What a document says; `uri`: where it lies, for messages. Raises ArtifactMismatch for anything that is none."""
    length = int.from_bytes(content[:8], "little")
    if length > len(content) - 8:
        raise _broken(uri, f"its header claims {length} bytes, and it has {len(content)}")
    try:
        header = _Header.model_validate_json(content[8 : 8 + length])
    except ValidationError as error:
        raise _broken(uri, f"{error.error_count()} fields of its header are wrong") from error
    files = {file.name: IndexedFile(**dict(file)) for file in header.files}
    tensors: dict[str, IndexedTensor] = {}
    position = 8 + length
    for entry in header.tensors:
        tensor = _tensor(uri, entry, header.files, content, position)
        tensors[tensor.name] = tensor
        position += HASH_BYTES + len(tensor.hashes)
    if position != len(content):
        raise _broken(uri, f"it has {len(content)} bytes instead of {position}")
    if len(files) != len(header.files) or len(tensors) != len(header.tensors):
        raise _broken(uri, "a file or a tensor is in it twice")
    return PieceIndex(base_digest=header.base_digest, files=files, tensors=tensors)


def _tensor(
    uri: str,
    entry: tuple[str, int, str, tuple[int, ...], int],
    files: Sequence[_File],
    content: bytes,
    position: int,
) -> IndexedTensor:
    name, number, dtype, shape, start = entry
    if number >= len(files) or dtype not in DTYPE_BYTES:
        raise _broken(uri, f"a tensor has the file {number} and the dtype {dtype[:20]!r}")
    size = math.prod(shape) * DTYPE_BYTES[dtype]
    if start < files[number].data_start or start + size > files[number].size:
        raise _broken(uri, "a tensor does not lie within its file")
    step = piece_bytes_of(size)
    hashes = content[position : position + HASH_BYTES * (1 + -(-size // step))]
    return IndexedTensor(
        name=name,
        file=files[number].name,
        dtype=dtype,
        shape=shape,
        start=start,
        size=size,
        piece_bytes=step,
        sha256=hashes[:HASH_BYTES].hex(),
        hashes=hashes[HASH_BYTES:],
    )


def _broken(uri: str, reason: str) -> ArtifactMismatch:
    return ArtifactMismatch(
        f"{uri} is no list of a base's pieces: {reason}",
        remedy="Delete it, and start the job again; the base is then read again.",
    )

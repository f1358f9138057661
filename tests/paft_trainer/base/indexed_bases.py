"""Small safetensors files of odd tensors in a store, and what is known of them, worked out without the code tested."""

import hashlib
import json
import random
from collections.abc import Mapping

from paft_trainer.base.piece_index import IndexedFile, IndexedTensor, PieceIndex, piece_bytes_of
from paft_trainer.safetensors_files import encode_header, parse_header
from paft_trainer.storage import ObjectStore

Shapes = Mapping[str, Mapping[str, tuple[int, ...]]]
"""Tensors of U8 by file and name."""

SHARDED: Shapes = {
    "model-00001-of-00002.safetensors": {"a": (3, 1237), "empty": (0, 7), "b": (1,), "c": (700_001,)},
    "model-00002-of-00002.safetensors": {"d": (5_000_011,), "scalar": (), "e": (4096,), "f": (4097,)},
}
SINGLE: Shapes = {"model.safetensors": {name: shape for file in SHARDED.values() for name, shape in file.items()}}


def file_of(shapes: Mapping[str, tuple[int, ...]], *, seed: int) -> bytes:
    """A file with random bytes."""
    header = encode_header([(name, "U8", shape) for name, shape in shapes.items()], metadata={})
    entries = parse_header("file", header[8:], file_size=len(header) + sum(_size(shape) for shape in shapes.values()))
    return header + b"".join(random.Random(f"{seed} {entry.name}").randbytes(entry.size) for entry in entries.entries)


def put_files(store: ObjectStore, base_uri: str, shapes: Shapes, *, seed: int = 0) -> PieceIndex:
    """Write the files; what is known of them."""
    files: dict[str, IndexedFile] = {}
    tensors: dict[str, IndexedTensor] = {}
    for file, its_shapes in shapes.items():
        content = file_of(its_shapes, seed=seed)
        store.put(base_uri + file, content)
        info = store.head(base_uri + file)
        assert info is not None
        data_start = 8 + int.from_bytes(content[:8], "little")
        header_sha256 = hashlib.sha256(content[:data_start]).hexdigest()
        files[file] = IndexedFile(
            name=file, size=info.size, etag=info.etag, data_start=data_start, header_sha256=header_sha256
        )
        for entry in parse_header(file, content[8:data_start], file_size=len(content)).entries:
            data = content[entry.start : entry.start + entry.size]
            step = piece_bytes_of(entry.size)
            tensors[entry.name] = IndexedTensor(
                name=entry.name,
                file=file,
                dtype=entry.dtype,
                shape=entry.shape,
                start=entry.start,
                size=entry.size,
                piece_bytes=step,
                sha256=hashlib.sha256(data).hexdigest(),
                hashes=b"".join(
                    hashlib.sha256(data[start : start + step]).digest() for start in range(0, len(data), step)
                ),
            )
    return PieceIndex(base_digest=f"sha256:{seed:064x}", files=files, tensors=tensors)


def put_base(store: ObjectStore, base_uri: str, shapes: Shapes, *, seed: int = 0) -> PieceIndex:
    """The same with all that makes the files a base."""
    weight_map = {name: file for file, its_shapes in shapes.items() for name in its_shapes}
    if len(shapes) > 1:
        store.put(f"{base_uri}model.safetensors.index.json", json.dumps({"weight_map": weight_map}).encode())
    store.put(f"{base_uri}config.json", b'{"model_type": "none"}')
    store.put(f"{base_uri}tokenizer.json", b"{}")
    store.put(f"{base_uri}README.md", b"Belongs to the base, and not to what it is known by.")
    return put_files(store, base_uri, shapes, seed=seed)


def content_of(store: ObjectStore, base_uri: str, tensor: IndexedTensor) -> bytes:
    """The bytes of a tensor, unverified."""
    return store.read(base_uri + tensor.file)[tensor.start : tensor.start + tensor.size]


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for dimension in shape:
        size *= dimension
    return size

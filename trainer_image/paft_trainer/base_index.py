"""The identity of a base checkpoint: hashes of its tensors and files, computed once and kept under artifactsUri.

The digest covers each tensor's name, dtype, shape and SHA-256 and the SHA-256 of configuration and tokenizer files,
so it does not depend on how the weights are cut into shards.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

from pydantic import Field

from paft_api.digests import digest_of
from paft_api.layout import index_uri
from paft_api.model import Digest, Model
from paft_trainer.checkpoint_files import INDEX_FILE, find_checkpoint_files
from paft_trainer.safetensors_files import SafetensorsHeader, read_header
from paft_trainer.storage import ObjectInfo, ObjectStore

FORMAT_VERSION = 1
CHUNK_BYTES = 16 * 1024 * 1024


class BaseFile(Model):
    """One file of the base."""

    name: str
    """Name relative to the folder."""
    size: Annotated[int, Field(ge=0)]
    """Bytes."""
    etag: str
    """ETag when it was hashed."""
    sha256: str
    """SHA-256 of its content, hexadecimal."""


class BaseIndex(Model):
    """What is known of a base once it was read."""

    format_version: int = FORMAT_VERSION
    """Version of this document."""
    digest: Digest
    """Identity of the base."""
    files: tuple[BaseFile, ...]
    """All files that belong to it."""


def index_base(store: ObjectStore, base_uri: str, artifacts_uri: str | None) -> BaseIndex:
    """The index of a base, from the cache under `artifacts_uri` where the files are unchanged since.

    Without `artifacts_uri` nothing is kept. Raises ConfigInvalid or ArtifactMismatch for a folder that is no base.
    """
    found = find_checkpoint_files(store, base_uri)
    names = {*found.weights, *found.others}
    infos = [info for info in store.list(base_uri) if info.uri.removeprefix(base_uri) in names | {INDEX_FILE}]
    if artifacts_uri is None:
        return _hash_base(store, base_uri, infos, set(found.weights))
    cache_uri = index_uri(artifacts_uri, listing_digest(infos))
    if store.head(cache_uri) is not None:
        return BaseIndex.model_validate_json(store.read(cache_uri))
    index = _hash_base(store, base_uri, infos, set(found.weights))
    store.put(cache_uri, index.to_json().encode())
    return index


def listing_digest(infos: list[ObjectInfo]) -> str:
    """Changes whenever an address, a size or an ETag does."""
    return digest_of([FORMAT_VERSION, [[info.uri, info.size, info.etag] for info in infos]])


def _hash_base(store: ObjectStore, base_uri: str, infos: list[ObjectInfo], weights: set[str]) -> BaseIndex:
    files: list[BaseFile] = []
    tensors: dict[str, list[object]] = {}
    identity_files: dict[str, str] = {}
    for info in infos:
        name = info.uri.removeprefix(base_uri)
        if name in weights:
            sha256 = _hash_weights(store, info, tensors)
        else:
            sha256 = hashlib.sha256(store.read(info.uri)).hexdigest()
            if _belongs_to_identity(name):
                identity_files[name] = sha256
        files.append(BaseFile(name=name, size=info.size, etag=info.etag, sha256=sha256))
    return BaseIndex(digest=base_digest(tensors, identity_files), files=tuple(files))


def base_digest(tensors: Mapping[str, Sequence[object]], identity_files: Mapping[str, str]) -> str:
    """Identity of a base. `tensors`: dtype, shape and SHA-256 by name. `identity_files`: SHA-256 by name."""
    return digest_of({"format": FORMAT_VERSION, "tensors": dict(tensors), "files": dict(identity_files)})


def hash_identity_files(store: ObjectStore, base_uri: str, names: Sequence[str]) -> dict[str, str]:
    """SHA-256 of those files beside the weights that belong to a base's identity."""
    return {
        name: hashlib.sha256(store.read(base_uri + name)).hexdigest() for name in names if _belongs_to_identity(name)
    }


def _belongs_to_identity(name: str) -> bool:
    return name == "config.json" or name.startswith(
        ("tokenizer", "vocab", "merges", "special_tokens", "spiece", "chat_")
    )


def _hash_weights(store: ObjectStore, info: ObjectInfo, tensors: dict[str, list[object]]) -> str:
    """SHA-256 of the file; adds each of its tensors to `tensors`. Reads the file once."""
    header = read_header(store, info.uri)
    whole = hashlib.sha256()
    whole.update(store.read_range(info.uri, 0, header.data_start))
    for name, dtype, shape, sha256 in _hash_tensors(store, info, header, whole):
        tensors[name] = [dtype, list(shape), sha256]
    return whole.hexdigest()


def _hash_tensors(
    store: ObjectStore, info: ObjectInfo, header: SafetensorsHeader, whole: "hashlib._Hash"
) -> Iterator[tuple[str, str, tuple[int, ...], str]]:
    """Hash large pieces of the file, of which tensors may begin and end anywhere."""
    entries = iter(header.entries)
    entry = next(entries, None)
    one = hashlib.sha256()
    position = header.data_start
    while position < info.size:
        chunk = memoryview(store.read_range(info.uri, position, min(CHUNK_BYTES, info.size - position)))
        whole.update(chunk)
        while entry is not None and entry.start + entry.size <= position + len(chunk):
            one.update(chunk[max(entry.start - position, 0) : entry.start + entry.size - position])
            yield entry.name, entry.dtype, entry.shape, one.hexdigest()
            one = hashlib.sha256()
            entry = next(entries, None)
        if entry is not None and entry.start < position + len(chunk):
            one.update(chunk[max(entry.start - position, 0) :])
        position += len(chunk)
    while entry is not None:
        yield entry.name, entry.dtype, entry.shape, one.hexdigest()
        entry = next(entries, None)

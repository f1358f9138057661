"""The identity of a base checkpoint: hashes of its tensors and files, computed once and kept under artifactsUri.

The digest covers each tensor's name, dtype, shape and SHA-256 and the SHA-256 of configuration and tokenizer files,
so it does not depend on how the weights are cut into shards.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, ValidationError

from paft_api.digests import digest_of
from paft_api.layout import index_uri
from paft_api.model import Digest, Model
from paft_trainer.checkpoint_files import INDEX_FILE, CheckpointFiles, find_checkpoint_files, require_index
from paft_trainer.errors import ArtifactMismatch
from paft_trainer.foreign_documents import shown
from paft_trainer.read_ahead import FILES_AT_ONCE, ReadAhead
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


@dataclass(frozen=True, kw_only=True, slots=True)
class _HashedFile:
    """`tensors`: dtype, shape and SHA-256 of each by name; empty for other files than weights."""

    file: BaseFile
    tensors: dict[str, list[object]]


def index_base(
    store: ObjectStore,
    base_uri: str,
    artifacts_uri: str | None,
    *,
    on_bytes: Callable[[int], None] = lambda count: None,
) -> BaseIndex:
    """The index of a base, from the cache under `artifacts_uri` where the files are unchanged since.

    Without `artifacts_uri` nothing is kept. `on_bytes` hears how many were read now. Raises
    ConfigInvalid or ArtifactMismatch for a folder that is no base.
    """
    found = find_checkpoint_files(store, base_uri)
    infos = _list_files(store, base_uri, found)
    if artifacts_uri is None:
        return _hash_base(ReadAhead(store, on_bytes=on_bytes), base_uri, infos, found)
    cache_uri = index_uri(artifacts_uri, listing_digest(infos))
    if store.head(cache_uri) is not None:
        return read_index(store, cache_uri)
    index = _hash_base(ReadAhead(store, on_bytes=on_bytes), base_uri, infos, found)
    store.put(cache_uri, index.to_json().encode())
    return index


def known_index(store: ObjectStore, base_uri: str, artifacts_uri: str) -> BaseIndex | None:
    """The index that was kept of a base whose files are unchanged since, None where there is none."""
    infos = _list_files(store, base_uri, find_checkpoint_files(store, base_uri))
    cache_uri = index_uri(artifacts_uri, listing_digest(infos))
    return read_index(store, cache_uri) if store.head(cache_uri) is not None else None


def read_index(store: ObjectStore, uri: str) -> BaseIndex:
    """An index that was kept. Raises ArtifactMismatch where it is broken."""
    try:
        return BaseIndex.model_validate_json(store.read(uri))
    except ValidationError as error:
        raise ArtifactMismatch(
            f"{uri} is no index of a base: {error.error_count()} fields are wrong",
            remedy="Delete it; the base is then read again.",
        ) from error


def listing_digest(infos: list[ObjectInfo]) -> str:
    """Changes whenever an address, a size or an ETag does."""
    return digest_of([FORMAT_VERSION, [[info.uri, info.size, info.etag] for info in infos]])


def base_digest(tensors: Mapping[str, Sequence[object]], identity_files: Mapping[str, str]) -> str:
    """Identity of a base. `tensors`: dtype, shape and SHA-256 by name. `identity_files`: SHA-256 by name."""
    return digest_of({"format": FORMAT_VERSION, "tensors": dict(tensors), "files": dict(identity_files)})


def hash_identity_files(store: ObjectStore, base_uri: str, names: Sequence[str]) -> dict[str, str]:
    """SHA-256 of those files beside the weights that belong to a base's identity."""
    return {
        name: hashlib.sha256(store.read(base_uri + name)).hexdigest() for name in names if _belongs_to_identity(name)
    }


def _list_files(store: ObjectStore, base_uri: str, found: CheckpointFiles) -> list[ObjectInfo]:
    names = {*found.weights, *found.others, INDEX_FILE}
    return [info for info in store.list(base_uri) if info.uri.removeprefix(base_uri) in names]


def _hash_base(reads: ReadAhead, base_uri: str, infos: list[ObjectInfo], found: CheckpointFiles) -> BaseIndex:
    with reads, ThreadPoolExecutor(FILES_AT_ONCE, "paft-hash") as hashes:
        futures = [hashes.submit(_hash_file, reads, base_uri, info, found) for info in infos]
        try:
            hashed = [future.result() for future in futures]
        finally:
            hashes.shutdown(wait=False, cancel_futures=True)
    tensors = _all_tensors(base_uri, hashed, found)
    identity_files = {one.file.name: one.file.sha256 for one in hashed if _belongs_to_identity(one.file.name)}
    return BaseIndex(digest=base_digest(tensors, identity_files), files=tuple(one.file for one in hashed))


def _all_tensors(base_uri: str, hashed: Iterable[_HashedFile], found: CheckpointFiles) -> dict[str, list[object]]:
    """Of all files. Raises ArtifactMismatch where one lies in two files, or not where the index says."""
    tensors: dict[str, list[object]] = {}
    files: dict[str, str] = {}
    for one in hashed:
        twice = next((name for name in one.tensors if name in tensors), None)
        if twice is not None:
            raise ArtifactMismatch(
                f"{shown(twice)} lies in {base_uri}{files[twice]} and in {base_uri}{one.file.name}",
                remedy="Upload the base again.",
            )
        tensors |= one.tensors
        files |= dict.fromkeys(one.tensors, one.file.name)
    if not tensors:
        raise ArtifactMismatch(f"{base_uri} holds no tensors", remedy="Upload the base again.")
    if found.weight_map is not None:
        require_index(base_uri, found.weight_map, files)
    return tensors


def _hash_file(reads: ReadAhead, base_uri: str, info: ObjectInfo, found: CheckpointFiles) -> _HashedFile:
    name = info.uri.removeprefix(base_uri)
    tensors: dict[str, list[object]] = {}
    if name in found.weights:
        sha256 = _hash_weights(reads, info, tensors)
    else:
        whole = hashlib.sha256()
        for chunk in reads.chunks(info.uri, 0, info.size):
            whole.update(chunk)
        sha256 = whole.hexdigest()
    return _HashedFile(file=BaseFile(name=name, size=info.size, etag=info.etag, sha256=sha256), tensors=tensors)


def _belongs_to_identity(name: str) -> bool:
    return name == "config.json" or name.startswith(
        ("tokenizer", "vocab", "merges", "special_tokens", "spiece", "chat_")
    )


def _hash_weights(reads: ReadAhead, info: ObjectInfo, tensors: dict[str, list[object]]) -> str:
    """SHA-256 of the file; adds each of its tensors to `tensors`. Reads the file once."""
    header = read_header(reads.store, info.uri)
    whole = hashlib.sha256()
    whole.update(reads.store.read_range(info.uri, 0, header.data_start))
    for name, dtype, shape, sha256 in _hash_tensors(reads, info, header, whole):
        tensors[name] = [dtype, list(shape), sha256]
    return whole.hexdigest()


def _hash_tensors(
    reads: ReadAhead, info: ObjectInfo, header: SafetensorsHeader, whole: "hashlib._Hash"
) -> Iterator[tuple[str, str, tuple[int, ...], str]]:
    """Hash large pieces of the file, of which tensors may begin and end anywhere."""
    entries = iter(header.entries)
    entry = next(entries, None)
    one = hashlib.sha256()
    position = header.data_start
    for content in reads.chunks(info.uri, position, info.size - position):
        chunk = memoryview(content)
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

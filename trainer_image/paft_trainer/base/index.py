"""Reads a base, unless that was done before: its identity, and the hashes of its pieces."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from paft_api.layout import unfinished_index_folder
from paft_trainer.base.identity import base_digest, belongs_to_identity, listing_digest
from paft_trainer.base.indexing import WeightsFile, hash_weights, read_weights_file, read_weights_files
from paft_trainer.base.kept_index import BaseFile, BaseIndex, find_index, keep_index
from paft_trainer.base.piece_index import IndexedTensor, PieceIndex
from paft_trainer.base.unfinished_index import UnfinishedIndex
from paft_trainer.checkpoint_files import INDEX_FILE, CheckpointFiles, find_checkpoint_files
from paft_trainer.errors import ArtifactMismatch
from paft_trainer.read_ahead import ReadAhead
from paft_trainer.storage import ObjectInfo, ObjectStore


@dataclass(frozen=True, kw_only=True, slots=True)
class _Listing:
    """A base as its folder tells of it. `infos`: of all its files."""

    found: CheckpointFiles
    infos: tuple[ObjectInfo, ...]

    @property
    def digest(self) -> str:
        return listing_digest([*self.infos])


def index_base(
    store: ObjectStore,
    base_uri: str,
    artifacts_uri: str | None,
    *,
    on_bytes: Callable[[int], None] = lambda count: None,
    on_size: Callable[[int], None] = lambda count: None,
) -> BaseIndex:
    """The index of a base, from what is kept under `artifacts_uri` where the files are unchanged since.

    Without `artifacts_uri` nothing is kept. Where the base must be read, `on_size` hears how many bytes it has, and
    then `on_bytes`, from several threads, how many more are done; an earlier reader may have done some of them.
    Raises ConfigInvalid or ArtifactMismatch for a folder that is no base, and ObjectChanged where it is written to.
    """
    listing = _list_base(store, base_uri)
    if artifacts_uri is None:
        return _read_base(store, base_uri, listing, None, on_bytes=on_bytes, on_size=on_size)[0]
    unfinished = UnfinishedIndex(store, unfinished_index_folder(artifacts_uri, listing.digest), listing.digest)
    kept = find_index(store, artifacts_uri, listing.digest)
    if kept is not None:
        # One that was killed between keeping the index and this has left something.
        unfinished.delete()
        return kept
    index, pieces = _read_base(store, base_uri, listing, unfinished, on_bytes=on_bytes, on_size=on_size)
    index = keep_index(store, artifacts_uri, listing.digest, index, pieces)
    unfinished.delete()
    return index


def index_pieces(store: ObjectStore, base_uri: str) -> PieceIndex:
    """The hashes of all pieces of a base, of which nothing is kept. Raises as `index_base`."""
    return _read_base(store, base_uri, _list_base(store, base_uri), None)[1]


def known_index(store: ObjectStore, base_uri: str, artifacts_uri: str) -> BaseIndex | None:
    """The index that was kept of a base whose files are unchanged since, None where there is none."""
    return find_index(store, artifacts_uri, _list_base(store, base_uri).digest)


def file_sha256(reads: ReadAhead, info: ObjectInfo, *, name: str) -> str:
    """What BaseFile.sha256 says of a file. Weights that are broken are hashed like any other file."""
    if name.endswith(".safetensors"):
        try:
            file = read_weights_file(reads.store, info, name=name)
        except ArtifactMismatch:
            return _content_sha256(reads, info)
        uri = info.uri.removesuffix(name)
        return _weights_sha256(file, hash_weights(reads, uri, [file], None).values())
    return _content_sha256(reads, info)


def _list_base(store: ObjectStore, base_uri: str) -> _Listing:
    found = find_checkpoint_files(store, base_uri)
    names = {*found.weights, *found.others, INDEX_FILE}
    infos = tuple(info for info in store.list(base_uri) if info.uri.removeprefix(base_uri) in names)
    return _Listing(found=found, infos=infos)


def _read_base(
    store: ObjectStore,
    base_uri: str,
    listing: _Listing,
    unfinished: UnfinishedIndex | None,
    *,
    on_bytes: Callable[[int], None] = lambda count: None,
    on_size: Callable[[int], None] = lambda count: None,
) -> tuple[BaseIndex, PieceIndex]:
    on_size(sum(info.size for info in listing.infos))
    weights = {one.file.name: one for one in read_weights_files(store, base_uri, listing.infos, listing.found)}
    on_bytes(sum(one.file.data_start for one in weights.values()))
    with ReadAhead(store) as reads:
        tensors = hash_weights(reads, base_uri, [*weights.values()], unfinished, on_bytes=on_bytes)
        files = tuple(_base_file(reads, base_uri, info, weights, tensors, on_bytes=on_bytes) for info in listing.infos)
    digest = base_digest(
        {tensor.name: [tensor.dtype, list(tensor.shape), tensor.sha256] for tensor in tensors.values()},
        {file.name: file.sha256 for file in files if belongs_to_identity(file.name)},
    )
    pieces = PieceIndex(base_digest=digest, files={name: one.file for name, one in weights.items()}, tensors=tensors)
    return BaseIndex(digest=digest, files=files), pieces


def _base_file(
    reads: ReadAhead,
    base_uri: str,
    info: ObjectInfo,
    weights: Mapping[str, WeightsFile],
    tensors: Mapping[str, IndexedTensor],
    *,
    on_bytes: Callable[[int], None],
) -> BaseFile:
    name = info.uri.removeprefix(base_uri)
    if name in weights:
        sha256 = _weights_sha256(weights[name], (tensors[entry.name] for entry in weights[name].entries))
    else:
        sha256 = _content_sha256(reads, info)
        on_bytes(info.size)
    return BaseFile(name=name, size=info.size, etag=info.etag, sha256=sha256)


def _weights_sha256(file: WeightsFile, tensors: Iterable[IndexedTensor]) -> str:
    """See BaseFile.sha256."""
    parts = [file.file.header_sha256, *(tensor.sha256 for tensor in tensors)]
    return hashlib.sha256(bytes.fromhex("".join(parts))).hexdigest()


def _content_sha256(reads: ReadAhead, info: ObjectInfo) -> str:
    digest = hashlib.sha256()
    for chunk in reads.chunks(info.uri, 0, info.size, etag=info.etag):
        digest.update(chunk)
    return digest.hexdigest()

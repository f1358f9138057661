"""The index of a base as it is kept under artifactsUri: a JSON document, and beside it the hashes of pieces."""

import hashlib
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from paft_api.layout import index_uri, pieces_uri
from paft_api.model import Digest, Model
from paft_trainer.base.piece_document import encode_pieces, parse_pieces
from paft_trainer.base.piece_index import PieceIndex
from paft_trainer.errors import ArtifactMismatch
from paft_trainer.foreign_documents import BrokenDocument, read_object, refused
from paft_trainer.storage import ObjectStore

_REMEDY = "Delete it; the base is then read again."


class BaseFile(Model):
    """One file of the base."""

    name: str
    """Name relative to the folder."""
    size: Annotated[int, Field(ge=0)]
    """Bytes."""
    etag: str
    """ETag when it was hashed."""
    sha256: str
    """Hexadecimal. SHA-256 of its content; of weights, over the SHA-256 of the bytes before the tensors and those of
    the tensors in the order of their bytes: such a hash can be worked out in parts, and gone on with."""


class PiecesObject(Model):
    """The object with the hashes of pieces."""

    listing_digest: Digest
    """Tells where it lies."""
    size: Annotated[int, Field(ge=0)]
    """Bytes."""
    sha256: str
    """SHA-256 of its content, hexadecimal."""


class BaseIndex(Model):
    """What is known of a base once it was read."""

    format_version: Literal[2] = 2
    """Version of this document. 1 had no pieces."""
    digest: Digest
    """Identity of the base."""
    files: tuple[BaseFile, ...]
    """All files that belong to it."""
    pieces: PiecesObject | None = None
    """Hashes of pieces. None where nothing is kept."""


def find_index(store: ObjectStore, artifacts_uri: str, listing_digest: str) -> BaseIndex | None:
    """The index of a base whose files are listed so. None where the base must be read: there is no index, or an older
    one, or its pieces are gone."""
    uri = index_uri(artifacts_uri, listing_digest)
    if store.head(uri) is None:
        return None
    try:
        document = read_object(store, uri)
    except BrokenDocument as error:
        raise refused(ArtifactMismatch, uri, "index of a base", error, remedy=_REMEDY) from error
    if document.get("formatVersion") == 1:
        return None
    index = read_index(store, uri)
    pieces = store.head(pieces_uri(artifacts_uri, listing_digest))
    is_whole = index.pieces is not None and pieces is not None and pieces.size == index.pieces.size
    return index if is_whole else None


def keep_index(
    store: ObjectStore, artifacts_uri: str, listing_digest: str, index: BaseIndex, pieces: PieceIndex
) -> BaseIndex:
    """The index as it is kept; after its pieces, so that who finds it finds them."""
    content = encode_pieces(pieces)
    store.put(pieces_uri(artifacts_uri, listing_digest), content)
    sha256 = hashlib.sha256(content).hexdigest()
    told = PiecesObject(listing_digest=listing_digest, size=len(content), sha256=sha256)
    kept = index.model_copy(update={"pieces": told})
    store.put(index_uri(artifacts_uri, listing_digest), kept.to_json().encode())
    return kept


def read_index(store: ObjectStore, uri: str) -> BaseIndex:
    """An index that was kept. Raises ArtifactMismatch where it is broken, or of another version of this document."""
    try:
        return BaseIndex.model_validate_json(store.read(uri))
    except ValidationError as error:
        raise ArtifactMismatch(
            f"{uri} is no index of a base: {error.error_count()} fields are wrong", remedy=_REMEDY
        ) from error


def read_pieces(store: ObjectStore, artifacts_uri: str, index: BaseIndex) -> PieceIndex:
    """The hashes of pieces that belong to a kept index. Raises ArtifactMismatch where they are not its, and
    ObjectMissing where they were deleted after `index_base` gave it."""
    return parse_kept_pieces(artifacts_uri, index, read_raw_pieces(store, artifacts_uri, index))


def read_raw_pieces(store: ObjectStore, artifacts_uri: str, index: BaseIndex) -> bytes:
    """The document behind `read_pieces`, for those who hand it on; at 70B it has some 5 MB."""
    assert index.pieces is not None
    return store.read_range(pieces_uri(artifacts_uri, index.pieces.listing_digest), 0, index.pieces.size)


def parse_kept_pieces(artifacts_uri: str, index: BaseIndex, content: bytes) -> PieceIndex:
    """What `content` says, if it is what the index tells of. Raises ArtifactMismatch."""
    assert index.pieces is not None
    uri = pieces_uri(artifacts_uri, index.pieces.listing_digest)
    if hashlib.sha256(content).hexdigest() != index.pieces.sha256:
        raise ArtifactMismatch(f"{uri} is not what its index says: its SHA-256 is another one", remedy=_REMEDY)
    pieces = parse_pieces(uri, content)
    if pieces.base_digest != index.digest:
        raise ArtifactMismatch(f"{uri} is of the base {pieces.base_digest}, not of {index.digest}", remedy=_REMEDY)
    return pieces

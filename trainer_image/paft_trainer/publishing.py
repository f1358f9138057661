"""Publishing by claim: a conditional PUT decides whose folder it is before anything else is written there.

Object stores have no rename, so a folder is filled in place. Whoever's claim is there first owns the folder; a
manifest, written last, says that it is complete.
"""

import contextlib
import hashlib
import json
import uuid
from collections.abc import Iterable, Mapping

from paft_api.layout import CLAIM_FILE
from paft_trainer.errors import ArtifactMismatch
from paft_trainer.storage import ObjectStore, PreconditionFailed


def claim_folder(
    store: ObjectStore,
    folder: str,
    claim: Mapping[str, object],
    *,
    manifest_name: str,
    allow_unconditional: bool = False,
) -> dict[str, object]:
    """Claim a folder; returns the claim that holds, which is ours or the one that was there first.

    Objects under `<folder>attempts/` are not counted as content. `allow_unconditional`: for stores that ignore
    conditions, a look before the PUT instead of the store's word. Raises ArtifactMismatch, with nothing written, where
    the folder has content without a claim.
    """
    claim_uri = folder + CLAIM_FILE
    if store.head(claim_uri) is None:
        _require_empty(store, folder, manifest_name)
        document = json.dumps(dict(claim), sort_keys=True).encode()
        if allow_unconditional:
            store.put(claim_uri, document)
        else:
            # Where somebody was faster, theirs holds.
            with contextlib.suppress(PreconditionFailed):
                store.put(claim_uri, document, only_if_absent=True)
    held: dict[str, object] = json.loads(store.read(claim_uri))
    return held


def first_foreign_object(store: ObjectStore, folder: str) -> str | None:
    """An object that lies in the folder and is no attempt's, or None for a free folder."""
    attempts = f"{folder}attempts/"
    return next((info.uri for info in store.list(folder) if not info.uri.startswith(attempts)), None)


def supports_conditional_put(store: ObjectStore, folder: str) -> bool:
    """Whether the store refuses a conditional PUT onto an existing object; leaves nothing behind."""
    uri = f"{folder}.paft-probe-{uuid.uuid4().hex}"
    store.put(uri, b"first")
    try:
        store.put(uri, b"second", only_if_absent=True)
    except PreconditionFailed:
        return True
    finally:
        store.delete(uri)
    return False


def write_hashed(store: ObjectStore, uri: str, chunks: Iterable[bytes | memoryview]) -> tuple[int, str]:
    """Stream chunks into an object; returns its size in bytes and its SHA-256 in hexadecimal."""
    digest = hashlib.sha256()
    size = 0
    with store.open_writer(uri) as writer:
        for chunk in chunks:
            writer.write(chunk)
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()


def _require_empty(store: ObjectStore, folder: str, manifest_name: str) -> None:
    found = first_foreign_object(store, folder)
    # Somebody of ours may have claimed and begun since the look above: then the PUT will find the claim.
    if found is not None and store.head(folder + CLAIM_FILE) is None:
        raise ArtifactMismatch(
            f"{folder} is not empty and was not written by PAFT: it holds {found}, but no {CLAIM_FILE}"
            f" and no {manifest_name} of ours",
            remedy="Choose another folder, or empty this one yourself. Nothing was written.",
        )

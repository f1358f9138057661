"""Publishing by claim: a conditional PUT decides whose folder it is before anything else is written there.

Object stores have no rename, so a folder is filled in place. Whoever's claim is there first owns the folder; a
manifest, written last, says that it is complete.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterable, Mapping

from paft_api.layout import ATTEMPTS, CLAIM_FILE, PROBE_PREFIX
from paft_trainer.errors import ArtifactMismatch
from paft_trainer.storage import ObjectStore, OperationUnsupported, PreconditionFailed


def claim_folder(
    store: ObjectStore,
    folder: str,
    claim: Mapping[str, object],
    *,
    manifest_name: str,
    allow_unconditional: bool = False,
) -> dict[str, object]:
    """Claim a folder; returns the claim that holds, which is ours or the one that was there first.

    Objects under `<folder>attempts/` are not counted as content. `allow_unconditional`: for stores that know no
    conditions, a look before the PUT instead of the store's word. Raises ArtifactMismatch, with nothing written, where
    the folder has content without a claim, or a claim that is none of ours.
    """
    claim_uri = folder + CLAIM_FILE
    if store.head(claim_uri) is None:
        _require_empty(store, folder, manifest_name)
        document = json.dumps(dict(claim), sort_keys=True).encode()
        # Where somebody was faster, theirs holds.
        with contextlib.suppress(PreconditionFailed):
            _put_claim(store, claim_uri, document, allow_unconditional=allow_unconditional)
    return read_claim(store, folder)


def find_claim(store: ObjectStore, folder: str, *, manifest_name: str) -> dict[str, object] | None:
    """The claim that holds in a folder, None for a free one; writes nothing. Raises as claim_folder does."""
    if store.head(folder + CLAIM_FILE) is None:
        _require_empty(store, folder, manifest_name)
        return None
    return read_claim(store, folder)


def read_claim(store: ObjectStore, folder: str) -> dict[str, object]:
    """The claim that holds in a folder. Raises ObjectMissing, or ArtifactMismatch where it is none of ours."""
    uri = folder + CLAIM_FILE
    try:
        held = json.loads(store.read(uri))
    except ValueError:
        held = None
    if not isinstance(held, dict):
        raise ArtifactMismatch(
            f"{uri} is no claim of PAFT: it holds no JSON object",
            remedy="Choose another folder, or empty this one yourself. Nothing was written.",
        )
    return held


def first_foreign_object(store: ObjectStore, folder: str) -> str | None:
    """An object that lies in the folder and is no attempt's, or None for a free folder.

    Probes of `supports_conditional_put` do not count: another job's is there for a moment, and a killed one's stays.
    """
    ours = (f"{folder}{ATTEMPTS}", f"{folder}{PROBE_PREFIX}")
    return next((info.uri for info in store.list(folder) if not info.uri.startswith(ours)), None)


def supports_conditional_put(store: ObjectStore, probe: str) -> bool:
    """Whether the store refuses a conditional PUT onto an existing object. `probe`: where nothing is, and nothing
    stays."""
    store.put(probe, b"first")
    try:
        store.put(probe, b"second", only_if_absent=True)
    except PreconditionFailed:
        return True
    except OperationUnsupported:
        return False
    finally:
        store.delete(probe)
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


def _put_claim(store: ObjectStore, uri: str, document: bytes, *, allow_unconditional: bool) -> None:
    try:
        # Asked for in any case: a store that ignores the condition does no harm, and one that knows it protects.
        store.put(uri, document, only_if_absent=True)
    except OperationUnsupported:
        if not allow_unconditional:
            raise
        store.put(uri, document)


def _require_empty(store: ObjectStore, folder: str, manifest_name: str) -> None:
    found = first_foreign_object(store, folder)
    # Somebody of ours may have claimed and begun since the look above: then the PUT will find the claim.
    if found is not None and store.head(folder + CLAIM_FILE) is None:
        raise ArtifactMismatch(
            f"{folder} is not empty and was not written by PAFT: it holds {found}, but no {CLAIM_FILE}"
            f" and no {manifest_name} of ours",
            remedy="Choose another folder, or empty this one yourself. Nothing was written.",
        )

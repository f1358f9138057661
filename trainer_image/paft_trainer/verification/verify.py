"""What kind of folder it is, and all its folders in turn."""

import time
from collections.abc import Callable

from paft_api.layout import ADAPTER_MANIFEST_FILE, CANDIDATES, CLAIM_FILE, MERGE_MANIFEST_FILE
from paft_api.verification import Verification, VerifiedFolder
from paft_trainer.storage import ObjectMissing, ObjectStore
from paft_trainer.verification.bases import verify_base
from paft_trainer.verification.listing import Listing
from paft_trainer.verification.published import verify_published


def verify(
    store: ObjectStore,
    uri: str,
    *,
    artifacts_uri: str,
    expected_digest: str | None = None,
    on_bytes: Callable[[int], None] = lambda count: None,
) -> Verification:
    """Read the whole folder and compare it: a published one with its manifest, a base with its index.

    `artifacts_uri`: where indices of bases are kept. `expected_digest`: of the folder, as somebody was told it.
    Nothing is written. Raises ObjectMissing for an empty folder, ConfigInvalid where there is nothing to compare
    with, and errors of the store.
    """
    started = time.monotonic()
    listing = Listing.of(store, uri)
    if not listing.infos:
        raise ObjectMissing(f"{uri} is empty or does not exist", remedy="Check the address.")
    if {CLAIM_FILE, MERGE_MANIFEST_FILE, ADAPTER_MANIFEST_FILE} & listing.infos.keys():
        folders = [verify_published(store, listing, expected_digest=expected_digest, on_bytes=on_bytes)]
        folders += _verify_candidates(store, listing, on_bytes)
    else:
        folders = [
            verify_base(store, listing, artifacts_uri=artifacts_uri, expected_digest=expected_digest, on_bytes=on_bytes)
        ]
    return Verification(folders=tuple(folders), seconds=time.monotonic() - started)


def _verify_candidates(store: ObjectStore, listing: Listing, on_bytes: Callable[[int], None]) -> list[VerifiedFolder]:
    parts = [name.split("/") for name in listing.infos if name.startswith(CANDIDATES)]
    names = sorted({part[1] for part in parts if len(part) > 2})
    return [
        verify_published(store, listing.below(f"{CANDIDATES}{name}/"), expected_digest=None, on_bytes=on_bytes)
        for name in names
    ]

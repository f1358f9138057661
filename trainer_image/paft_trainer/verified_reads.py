"""Whole objects whose SHA-256 is known."""

import hashlib

from paft_trainer.storage import ObjectStore


def read_verified(store: ObjectStore, uri: str, sha256: str) -> bytes | None:
    """An object's bytes; None where they do not have this SHA-256 (hexadecimal). Raises ObjectMissing.

    Wrong ones are read once more: what the store keeps may be whole, and have been spoilt on its way.
    """
    for _ in range(2):
        content = store.read(uri)
        if hashlib.sha256(content).hexdigest() == sha256:
            return content
    return None

"""What a base is known by: its content, whatever its address; and its files as a listing shows them. Pure but for
`hash_identity_files`."""

import hashlib
from collections.abc import Mapping, Sequence

from paft_api.digests import digest_of
from paft_trainer.storage import ObjectInfo, ObjectStore

FORMAT_VERSION = 1
"""Of what goes into these digests."""


def listing_digest(infos: list[ObjectInfo]) -> str:
    """Changes whenever an address, a size or an ETag does."""
    return digest_of([FORMAT_VERSION, [[info.uri, info.size, info.etag] for info in infos]])


def base_digest(tensors: Mapping[str, Sequence[object]], identity_files: Mapping[str, str]) -> str:
    """Identity of a base. `tensors`: dtype, shape and SHA-256 by name. `identity_files`: SHA-256 by name."""
    return digest_of({"format": FORMAT_VERSION, "tensors": dict(tensors), "files": dict(identity_files)})


def hash_identity_files(store: ObjectStore, base_uri: str, names: Sequence[str]) -> dict[str, str]:
    """SHA-256 of those files beside the weights that belong to a base's identity."""
    return {
        name: hashlib.sha256(store.read(base_uri + name)).hexdigest() for name in names if belongs_to_identity(name)
    }


def belongs_to_identity(name: str) -> bool:
    """Whether a file beside the weights goes into the digest: configuration and tokenizer."""
    return name == "config.json" or name.startswith(
        ("tokenizer", "vocab", "merges", "special_tokens", "spiece", "chat_")
    )

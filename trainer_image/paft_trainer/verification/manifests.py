"""Manifests of published folders, read as those of strangers."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from paft_api.digests import file_set_digest
from paft_api.verification import FolderKind, Problem, ProblemKind
from paft_trainer.verification.comparison import REMEDIES, FileIdentity

_SHA256 = re.compile(r"[0-9a-f]{64}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class BrokenManifest(ValueError):
    """A manifest that does not tell what it should. The text is the reason."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """`files`: by name. `document`: all that it says."""

    kind: FolderKind
    digest: str
    files: Mapping[str, FileIdentity]
    document: Mapping[str, Any]


def parse_manifest(document: Mapping[str, Any], kind: FolderKind) -> Manifest:
    """Raises BrokenManifest."""
    if document.get("kind") != kind:
        raise BrokenManifest(f"it is no manifest of kind {kind}")
    digest = document.get("digest")
    if not isinstance(digest, str) or _DIGEST.fullmatch(digest) is None:
        raise BrokenManifest("it has no digest")
    entries = document.get("files")
    if not isinstance(entries, dict) or not entries:
        raise BrokenManifest("it lists no files")
    return Manifest(
        kind=kind, digest=digest, files={name: _identity(name, entries[name]) for name in entries}, document=document
    )


def check_digests(manifest: Manifest, file: str, *, expected_digest: str | None) -> list[Problem]:
    """The digest of the folder against the list of its files, and against the one that was asked for."""
    problems = []
    of_files = file_set_digest({name: identity.sha256 for name, identity in manifest.files.items()})
    if manifest.digest != of_files:
        problems.append(
            Problem(
                file=file,
                kind=ProblemKind.DIGEST,
                message=f"its digest is {manifest.digest}, but its files give {of_files}: it was changed",
                remedy=REMEDIES[manifest.kind],
            )
        )
    if expected_digest not in (None, manifest.digest):
        problems.append(
            Problem(
                file=file,
                kind=ProblemKind.DIGEST,
                message=f"its digest is {manifest.digest}, but {expected_digest} was asked for",
                remedy="Take the folder that was meant; this one holds something else.",
            )
        )
    return problems


def check_claim(manifest: Manifest, claim: Mapping[str, Any], file: str) -> list[Problem]:
    """What the claim promised against what the manifest says: the recipe of a merge, the digest of an adapter."""
    promised = claim if manifest.kind == "merge" else {"digest": claim.get("digest")}
    differing = sorted(name for name, value in promised.items() if manifest.document.get(name) != value)
    if manifest.kind == "merge" and "recipeDigest" not in promised:
        differing.insert(0, "recipeDigest")
    if not differing:
        return []
    name = "recipeDigest" if "recipeDigest" in differing else differing[0]
    message = f"{name} is {claim.get(name)!r:.100} here, but {manifest.document.get(name)!r:.100} in the manifest"
    return [Problem(file=file, kind=ProblemKind.CLAIM, message=message, remedy=REMEDIES[manifest.kind])]


def _identity(name: str, entry: Any) -> FileIdentity:
    parts = name.split("/")
    if not name.isprintable() or any(part in ("", ".", "..") for part in parts):
        raise BrokenManifest(f"it lists {name!r:.100}, which is no name of a file in the folder")
    match entry:
        case {"size": int(size), "sha256": str(sha256)} if size >= 0 and _SHA256.fullmatch(sha256):
            return FileIdentity(size=size, sha256=sha256)
        case _:
            raise BrokenManifest(f"it tells no size and SHA-256 of {name:.100}")

"""Manifests of published folders, read as those of strangers."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from paft_api.digests import file_set_digest
from paft_api.verification import FolderKind, Problem, ProblemKind
from paft_trainer.foreign_documents import quoted
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
    told = _as_claimed(manifest.document, claim) if manifest.kind == "merge" else manifest.document
    names = {"recipeDigest", *claim} if manifest.kind == "merge" else {"digest"}
    differing = [name for name in sorted(names, key=_digests_first) if claim.get(name) != told.get(name)]
    if not differing:
        return []
    name = differing[0]
    message = f"{name} is {quoted(claim.get(name))} here, but {quoted(told.get(name))} in the manifest"
    return [Problem(file=file, kind=ProblemKind.CLAIM, message=message, remedy=REMEDIES[manifest.kind])]


def _as_claimed(document: Mapping[str, Any], claim: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe as it was when the folder was claimed: a base that nobody had read was known by its listing then."""
    told = dict(document)
    told["recipeDigest"] = document.get("claimedDigest", document.get("recipeDigest"))
    match claim.get("base"), document.get("base"):
        case {"uri": claimed, "listingDigest": str()} as base, {"uri": uri} if claimed == uri:
            told["base"] = base
    return told


def _digests_first(name: str) -> tuple[bool, str]:
    return not name.endswith("igest"), name


def _identity(name: str, entry: Any) -> FileIdentity:
    parts = name.split("/")
    if not name.isprintable() or any(part in ("", ".", "..") for part in parts):
        raise BrokenManifest(f"it lists {quoted(name)}, which is no name of a file in the folder")
    match entry:
        case {"size": int(size), "sha256": str(sha256)} if size >= 0 and _SHA256.fullmatch(sha256):
            return FileIdentity(size=size, sha256=sha256)
        case _:
            raise BrokenManifest(f"it tells no size and SHA-256 of {quoted(name)}")

"""Merged checkpoints and published adapters, compared with their manifests."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from paft_api.layout import ADAPTER_MANIFEST_FILE, CLAIM_FILE, MERGE_MANIFEST_FILE
from paft_api.verification import FolderKind, Problem, ProblemKind, VerifiedFolder
from paft_trainer.adapter_configuration import CONFIGURATION_FILE
from paft_trainer.checkpoint_files import INDEX_FILE, index_problems, read_weight_map
from paft_trainer.errors import ArtifactMismatch
from paft_trainer.folder_links import REMEDY, links_out_of
from paft_trainer.foreign_documents import BrokenDocument, read_object, shown
from paft_trainer.safetensors_files import read_header
from paft_trainer.storage import ObjectStore
from paft_trainer.verification.comparison import REMEDIES, compare_files, extra_files, is_loaded
from paft_trainer.verification.hashing import hash_files
from paft_trainer.verification.listing import Listing
from paft_trainer.verification.manifests import (
    BrokenManifest,
    Manifest,
    check_claim,
    check_digests,
    parse_manifest,
)

_MANIFESTS: Mapping[str, FolderKind] = {MERGE_MANIFEST_FILE: "merge", ADAPTER_MANIFEST_FILE: "adapter"}
_OUR_OWN = frozenset({CLAIM_FILE, *_MANIFESTS})
_MOST_INDEX_PROBLEMS = 10


def verify_published(
    store: ObjectStore, listing: Listing, *, expected_digest: str | None, on_bytes: Callable[[int], None]
) -> VerifiedFolder:
    """Read every file that the manifest lists. Raises errors of the store only."""
    file = _manifest_file(listing)
    kind = _MANIFESTS[file]
    try:
        manifest = _read_manifest(store, listing, file)
    except BrokenManifest as error:
        problem = Problem(file=file, kind=ProblemKind.MANIFEST, message=str(error), remedy=_manifest_remedy(kind))
        return VerifiedFolder(uri=listing.uri, kind=kind, files=0, bytes=0, problems=(problem,))
    problems = check_digests(manifest, file, expected_digest=expected_digest)
    problems += _claim_problems(store, listing, manifest)
    links = _link_problems(listing, manifest)
    problems += links
    # What a link out of the folder shows is not read: it is nothing of this folder.
    outside = {problem.file for problem in links}
    wanted = {name: info for name, info in listing.infos.items() if name in manifest.files and name not in outside}
    by_uri = hash_files(store, list(wanted.values()), on_bytes=on_bytes)
    found = {name: by_uri[info.uri] for name, info in wanted.items()}
    expected = {name: identity for name, identity in manifest.files.items() if name not in outside}
    problems += compare_files(expected, found, kind=kind)
    problems += extra_files(manifest.files.keys() | _OUR_OWN, listing.infos)
    if not problems:
        problems += _structure_problems(store, listing, manifest)
    unlisted = [name for name in listing.top_level if name not in manifest.files.keys() | _OUR_OWN]
    return VerifiedFolder(
        uri=listing.uri,
        kind=kind,
        digest=manifest.digest,
        files=len(found),
        bytes=sum(identity.size for identity in found.values()),
        problems=tuple(problems),
        unlisted=tuple(name for name in unlisted if not is_loaded(name)),
    )


def _manifest_file(listing: Listing) -> str:
    """Where there is none: the one that the files look like."""
    if MERGE_MANIFEST_FILE in listing.infos:
        return MERGE_MANIFEST_FILE
    is_adapter = ADAPTER_MANIFEST_FILE in listing.infos or CONFIGURATION_FILE in listing.infos
    return ADAPTER_MANIFEST_FILE if is_adapter else MERGE_MANIFEST_FILE


def _read_manifest(store: ObjectStore, listing: Listing, file: str) -> Manifest:
    if file not in listing.infos:
        raise BrokenManifest(f"it is not there, although {CLAIM_FILE} is: the folder is unfinished, or lost it")
    if any(links_out_of(listing.uri, [file])):
        raise BrokenManifest("it is a symbolic link out of the folder")
    try:
        document = read_object(store, listing.uri + file)
    except BrokenDocument as error:
        raise BrokenManifest(f"it is {error}") from error
    return parse_manifest(document, _MANIFESTS[file])


def _manifest_remedy(kind: FolderKind) -> str:
    if kind == "merge":
        return "Run the same merge again; it finishes the folder and writes the manifest last."
    return REMEDIES[kind]


def _claim_problems(store: ObjectStore, listing: Listing, manifest: Manifest) -> list[Problem]:
    """Nothing where there is no claim: copies made by hand may lack it, and it holds nothing that readers need."""
    if CLAIM_FILE not in listing.infos:
        return []
    try:
        claim = read_object(store, listing.uri + CLAIM_FILE)
    except BrokenDocument as error:
        remedy = REMEDIES[manifest.kind]
        return [Problem(file=CLAIM_FILE, kind=ProblemKind.CLAIM, message=f"it is {error}", remedy=remedy)]
    return check_claim(manifest, claim, CLAIM_FILE)


def _link_problems(listing: Listing, manifest: Manifest) -> list[Problem]:
    names = [name for name in listing.infos if name in manifest.files.keys() | {CLAIM_FILE} or is_loaded(name)]
    return [
        Problem(
            file=name,
            kind=ProblemKind.LINK,
            message=f"it is a symbolic link out of the folder, to {target}",
            remedy=REMEDY,
        )
        for name, target in links_out_of(listing.uri, names)
    ]


def _structure_problems(store: ObjectStore, listing: Listing, manifest: Manifest) -> list[Problem]:
    """Whether files that are what was published can be read, and whether the index tells where the tensors lie."""
    weights = sorted(name for name in manifest.files if name.endswith(".safetensors"))
    try:
        tensors = _tensors(store, listing.uri, weights)
        if INDEX_FILE not in manifest.files:
            return []
        found = index_problems(read_weight_map(store, listing.uri), tensors)
    except ArtifactMismatch as error:
        file = next((name for name in weights if listing.uri + name in error.message), INDEX_FILE)
        return [Problem(file=file, kind=ProblemKind.FORMAT, message=error.message, remedy=error.remedy)]
    more = [f"and {len(found) - _MOST_INDEX_PROBLEMS} more"] if len(found) > _MOST_INDEX_PROBLEMS else []
    return [
        Problem(file=INDEX_FILE, kind=ProblemKind.INDEX, message=message, remedy=REMEDIES[manifest.kind])
        for message in [*found[:_MOST_INDEX_PROBLEMS], *more]
    ]


def _tensors(store: ObjectStore, uri: str, weights: Iterable[str]) -> dict[str, str]:
    """The file of each tensor. Raises ArtifactMismatch for a broken file, or a tensor in two."""
    tensors: dict[str, Any] = {}
    for file in weights:
        for entry in read_header(store, uri + file).entries:
            if entry.name in tensors:
                raise ArtifactMismatch(f"{shown(entry.name)} lies in {tensors[entry.name]} and in {uri}{file}")
            tensors[entry.name] = file
    return tensors

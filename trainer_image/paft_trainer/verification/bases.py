"""Bases, compared with the index that was made when a job or `paft merge` read them, or with a digest alone."""

import re
from collections.abc import Callable, Mapping

from paft_api.verification import Problem, ProblemKind, VerifiedFolder
from paft_trainer.base.index import file_sha256, index_base
from paft_trainer.base.kept_index import BaseIndex, read_index
from paft_trainer.checkpoint_files import PICKLE_SUFFIXES
from paft_trainer.errors import ArtifactMismatch, ConfigInvalid, StageError
from paft_trainer.read_ahead import ReadAhead
from paft_trainer.storage import ObjectStore
from paft_trainer.verification.comparison import REMEDIES, FileIdentity, compare_files, extra_files
from paft_trainer.verification.listing import Listing

_SHARD = re.compile(r"model(-\d+-of-\d+)?\.safetensors")


def verify_base(
    store: ObjectStore,
    listing: Listing,
    *,
    artifacts_uri: str,
    expected_digest: str | None,
    on_bytes: Callable[[int], None],
) -> VerifiedFolder:
    """Read the whole base. Raises ConfigInvalid where nothing is known to compare it with, and errors of the store.

    Which index is the base's is told by its content: addresses and dates of files say nothing about that.
    """
    indices = _indices(store, artifacts_uri)
    if not indices and expected_digest is None:
        raise _nothing_known(listing.uri, artifacts_uri)
    current, refusal = _index_now(store, listing.uri, on_bytes)
    found = _found(store, listing, current, on_bytes)
    known = _best(indices, found, expected_digest)
    if known is None and expected_digest is None:
        raise _nothing_known(listing.uri, artifacts_uri)
    problems = [] if known is None else _differences(listing, known, found)
    if refusal is not None and not problems:
        problems.append(Problem(file=".", kind=ProblemKind.FORMAT, message=refusal.message, remedy=refusal.remedy))
    wanted = expected_digest if expected_digest is not None else None if known is None else known.digest
    if current is not None and current.digest != wanted and not problems:
        message = f"the base has the digest {current.digest}, but {wanted} is wanted"
        problems.append(Problem(file=".", kind=ProblemKind.DIGEST, message=message, remedy=REMEDIES["base"]))
    return VerifiedFolder(
        uri=listing.uri,
        kind="base",
        digest=None if known is None else known.digest,
        files=len(found),
        bytes=sum(identity.size for identity in found.values()),
        problems=tuple(problems),
        unlisted=tuple(
            name for name in listing.top_level if name not in found and not any(one.file == name for one in problems)
        ),
    )


def _index_now(
    store: ObjectStore, uri: str, on_bytes: Callable[[int], None]
) -> tuple[BaseIndex | None, StageError | None]:
    """The base's index as it is now, or why it is no base."""
    try:
        return index_base(store, uri, None, on_bytes=on_bytes), None
    except (ArtifactMismatch, ConfigInvalid) as error:
        return None, error


def _found(
    store: ObjectStore, listing: Listing, current: BaseIndex | None, on_bytes: Callable[[int], None]
) -> Mapping[str, FileIdentity]:
    if current is not None:
        return {file.name: FileIdentity(size=file.size, sha256=file.sha256) for file in current.files}
    infos = {name: listing.infos[name] for name in listing.top_level}
    with ReadAhead(store, on_bytes=on_bytes) as reads:
        return {
            name: FileIdentity(size=info.size, sha256=file_sha256(reads, info, name=name))
            for name, info in infos.items()
        }


def _indices(store: ObjectStore, artifacts_uri: str) -> list[BaseIndex]:
    """All that are kept there; beside them lie digests of data."""
    indices = []
    for info in store.list(f"{artifacts_uri}index/"):
        if not info.uri.endswith(".json"):
            continue
        try:
            indices.append(read_index(store, info.uri))
        except ArtifactMismatch:
            continue
    return indices


def _best(indices: list[BaseIndex], found: Mapping[str, FileIdentity], expected_digest: str | None) -> BaseIndex | None:
    """The index with the wanted digest; without one, that with the most bytes in common, if any."""
    if expected_digest is not None:
        return next((index for index in indices if index.digest == expected_digest), None)

    def common(index: BaseIndex) -> tuple[int, int]:
        same = [file for file in index.files if _identity_in(found, file.name) == file.sha256]
        return sum(file.size for file in same), -len(index.files)

    best = max(indices, key=common, default=None)
    return None if best is None or common(best)[0] == 0 else best


def _identity_in(found: Mapping[str, FileIdentity], name: str) -> str | None:
    return found[name].sha256 if name in found else None


def _differences(listing: Listing, known: BaseIndex, found: Mapping[str, FileIdentity]) -> list[Problem]:
    expected = {file.name: FileIdentity(size=file.size, sha256=file.sha256) for file in known.files}
    problems = compare_files(expected, found, kind="base")
    # Weights in other formats, and safetensors of other names, belong to no base: no index knows them.
    belonging = [
        name
        for name in listing.top_level
        if _SHARD.fullmatch(name) or not name.endswith((".safetensors", *PICKLE_SUFFIXES))
    ]
    return problems + extra_files(expected, belonging)


def _nothing_known(uri: str, artifacts_uri: str) -> ConfigInvalid:
    return ConfigInvalid(
        f"{uri} has no manifest, and no index in {artifacts_uri}index/ is of a base with files of it",
        remedy="For a base give --artifacts, the storage.artifactsUri of a job that used it, or --digest; published "
        "checkpoints and adapters have a manifest, without which they cannot be verified.",
    )

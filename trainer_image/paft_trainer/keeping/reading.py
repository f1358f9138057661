"""Lists and reads what the verdicts need. Uploads are listed before anything else: an attempt writes its marker before
it streams anything, so that the marker of every upload that was seen is seen, too."""

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import TypeVar

from paft_api.layout import (
    ADAPTER_MANIFEST_FILE,
    ATTEMPT_MARKER_FILE,
    ATTEMPTS,
    CANDIDATES,
    CHECKPOINT_MANIFEST_FILE,
    CLAIM_FILE,
    MERGE_ATTEMPT_PREFIX,
    MERGE_MANIFEST_FILE,
)
from paft_api.stages import ARMS, StageName
from paft_api.verification import FolderKind
from paft_trainer.foreign_documents import BrokenDocument, read_object
from paft_trainer.keeping.attempt_marker import read_marker
from paft_trainer.keeping.contents import (
    AttemptContents,
    OutputContents,
    PublishedContents,
    Sizes,
    StageContents,
    Uploads,
    checkpoint_folders,
)
from paft_trainer.keeping.saved_checkpoints import read_checkpoint_manifest
from paft_trainer.storage import ObjectMissing, ObjectStore, UnfinishedUpload
from paft_trainer.verification.manifests import BrokenManifest, parse_manifest

Content = TypeVar("Content")

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_DIGEST_FOLDER = re.compile(r"[0-9a-f]{64}/")
_MOST_MARKER_BYTES = 1024 * 1024
_CANDIDATE = re.compile(rf"{re.escape(CANDIDATES)}[^/]+/")


def read_stages(store: ObjectStore, artifacts_uri: str) -> list[StageContents]:
    """All stage digests of both arms under artifactsUri. Raises errors of the store."""
    return [stage for arm in ARMS for stage in _read_arm(store, artifacts_uri, arm)]


def read_stage(store: ObjectStore, stage_folder: str, stage: StageName) -> StageContents:
    """One stage digest. Raises errors of the store."""
    uploads = read_uploads(store, stage_folder)
    return _stage(store, stage_folder, stage, read_sizes(store, stage_folder), uploads)


def read_output(store: ObjectStore, output: str) -> OutputContents:
    """An output and its candidates. Raises errors of the store."""
    uploads = read_uploads(store, output)
    sizes = read_sizes(store, output)
    claims = _claims(store, output, sizes)
    folders = {
        prefix: _published(store, output + prefix, _below(sizes, prefix), _below(uploads, prefix), "merge")
        for prefix in claims
    }
    attempts = [_merge_attempt(store, output, name) for name in sizes if name.startswith(MERGE_ATTEMPT_PREFIX)]
    judged = {prefix + name for prefix, folder in folders.items() for name in folder.uploads}
    return OutputContents(
        uri=output,
        recipe_digest=claims.get(""),
        folders=folders,
        attempts=tuple(sorted(attempts, key=lambda one: one.name)),
        other_uploads={name: some for name, some in uploads.items() if name not in judged},
    )


def read_sizes(store: ObjectStore, folder: str) -> dict[str, int]:
    """Sizes of all objects anywhere below a folder."""
    return {info.uri.removeprefix(folder): info.size for info in store.list(folder)}


def read_uploads(store: ObjectStore, folder: str) -> Uploads:
    """Streamed writes anywhere below a folder that have not ended."""
    found: defaultdict[str, tuple[UnfinishedUpload, ...]] = defaultdict(tuple)
    for upload in store.unfinished_uploads(folder):
        found[upload.uri.removeprefix(folder)] += (upload,)
    return found


def _read_arm(store: ObjectStore, artifacts_uri: str, arm: StageName) -> list[StageContents]:
    folder = f"{artifacts_uri}{arm}/"
    uploads = read_uploads(store, folder)
    sizes = read_sizes(store, folder)
    digests = sorted({name.partition("/")[0] + "/" for name in (*sizes, *uploads) if "/" in name})
    return [
        _stage(store, folder + digest, arm, _tree(sizes, digest), _tree(uploads, digest))
        for digest in digests
        if _DIGEST_FOLDER.fullmatch(digest)
    ]


def _stage(store: ObjectStore, uri: str, stage: StageName, sizes: Sizes, uploads: Uploads) -> StageContents:
    names = {name.split("/")[1] for name in (*sizes, *uploads) if name.startswith(ATTEMPTS) and name.count("/") > 1}
    attempts = [
        _attempt(store, uri, stage, name, _tree(sizes, f"{ATTEMPTS}{name}/"), _tree(uploads, f"{ATTEMPTS}{name}/"))
        for name in sorted(names)
    ]
    return StageContents(
        uri=uri,
        stage=stage,
        digest="sha256:" + uri.rstrip("/").rpartition("/")[2],
        published=_published(store, uri, _below(sizes, ""), _below(uploads, ""), "adapter"),
        attempts=tuple(attempts),
    )


def _attempt(
    store: ObjectStore, stage_folder: str, stage: StageName, name: str, sizes: Sizes, uploads: Uploads
) -> AttemptContents:
    folder = f"{stage_folder}{ATTEMPTS}{name}/"
    marker = None
    if 0 < sizes.get(ATTEMPT_MARKER_FILE, 0) <= _MOST_MARKER_BYTES:
        marker = read_marker(store, folder + ATTEMPT_MARKER_FILE, name)
    if marker is not None and marker.identity.stage is not stage:
        marker = None
    checkpoints = {
        place: read_checkpoint_manifest(store, folder + place)
        for place, files in checkpoint_folders(sizes).items()
        if CHECKPOINT_MANIFEST_FILE in files
    }
    return AttemptContents(name=name, marker=marker, sizes=sizes, uploads=uploads, checkpoints=checkpoints)


def _merge_attempt(store: ObjectStore, output: str, file: str) -> AttemptContents:
    name = file.removeprefix(MERGE_ATTEMPT_PREFIX).removesuffix(".json")
    return AttemptContents(name=name, marker=read_marker(store, output + file, name))


def _published(store: ObjectStore, uri: str, sizes: Sizes, uploads: Uploads, kind: FolderKind) -> PublishedContents:
    file = MERGE_MANIFEST_FILE if kind == "merge" else ADAPTER_MANIFEST_FILE
    promised = _promised(store, uri + file, kind) if file in sizes else None
    return PublishedContents(sizes=sizes, uploads=uploads, promised=promised)


def _promised(store: ObjectStore, uri: str, kind: FolderKind) -> Sizes | None:
    try:
        manifest = parse_manifest(read_object(store, uri), kind)
    except (ObjectMissing, BrokenDocument, BrokenManifest):
        return None
    return {name: identity.size for name, identity in manifest.files.items()}


def _claims(store: ObjectStore, output: str, sizes: Sizes) -> dict[str, str]:
    """Recipe digests by folder: of the output and of candidates in it; none where the output is none of ours."""
    claimed = [prefix for prefix in ("", *_candidates(sizes)) if prefix + CLAIM_FILE in sizes]
    told = {prefix: _recipe_digest(store, output + prefix) for prefix in claimed}
    ours = {prefix: digest for prefix, digest in told.items() if digest is not None}
    return ours if "" in ours else {}


def _recipe_digest(store: ObjectStore, folder: str) -> str | None:
    try:
        digest = read_object(store, folder + CLAIM_FILE).get("recipeDigest")
    except (ObjectMissing, BrokenDocument):
        return None
    return digest if isinstance(digest, str) and _DIGEST.fullmatch(digest) else None


def _candidates(sizes: Sizes) -> list[str]:
    return sorted({match[0] for name in sizes if (match := _CANDIDATE.match(name)) is not None})


def _tree(names: Mapping[str, Content], folder: str) -> dict[str, Content]:
    """What lies anywhere below a folder, by name relative to it."""
    return {name.removeprefix(folder): content for name, content in names.items() if name.startswith(folder)}


def _below(names: Mapping[str, Content], folder: str) -> dict[str, Content]:
    """What lies in a folder itself."""
    return {name: content for name, content in _tree(names, folder).items() if "/" not in name}

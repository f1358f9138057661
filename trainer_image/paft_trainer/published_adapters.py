"""Published adapters: folders that come into being once, whoever finishes them.

The attempt writes its files into its own folder first. Then it claims the stage's folder; the claim names the attempt
whose files these will be, and the SHA-256 of its manifest. Whoever sees a claim without a manifest (the winner after a
restart, or a loser) copies those files, checks their SHA-256 and writes the manifest last. So there is one adapter for
one stage digest, and no step of it is lost with the process that began it.
"""

import hashlib
import json
from collections.abc import Mapping

from paft_api.layout import ADAPTER_MANIFEST_FILE, CLAIM_FILE
from paft_api.report import AdapterMetrics, AdapterResult, FinishedArtifact
from paft_trainer.errors import ArtifactMismatch
from paft_trainer.publishing import read_claim
from paft_trainer.storage import ObjectMissing, ObjectStore
from paft_trainer.verified_reads import read_verified

FORMAT_VERSION = 1


def find_published_adapter(store: ObjectStore, stage_folder: str) -> AdapterResult | None:
    """The adapter of this stage digest, where it is published or claimed; a claimed one is finished first."""
    if store.head(stage_folder + CLAIM_FILE) is None:
        return None
    return finish_publication(store, stage_folder, read_claim(store, stage_folder))


def make_claim(source: str, manifest_bytes: bytes) -> dict[str, object]:
    """The claim of an attempt whose files, and this manifest of them, lie in the folder `source`."""
    return {
        "formatVersion": FORMAT_VERSION,
        "source": source,
        "digest": json.loads(manifest_bytes)["digest"],
        "manifestSha256": hashlib.sha256(manifest_bytes).hexdigest(),
    }


def finish_publication(store: ObjectStore, stage_folder: str, claim: Mapping[str, object]) -> AdapterResult:
    """Bring the folder to what its claim says; does nothing where it is so already. Raises ArtifactMismatch."""
    match claim:
        case {"source": str(source), "manifestSha256": str(manifest_sha256)}:
            pass
        case _:
            raise ArtifactMismatch(
                f"{stage_folder}{CLAIM_FILE} is no claim of an adapter: it names no source with a manifest",
                remedy=_remedy(stage_folder),
            )
    if store.head(stage_folder + ADAPTER_MANIFEST_FILE) is None:
        try:
            _copy_files(store, source, stage_folder, manifest_sha256)
        except ObjectMissing as error:
            # Somebody else may have finished meanwhile; then the files to copy are nobody's need any more.
            if store.head(stage_folder + ADAPTER_MANIFEST_FILE) is None:
                raise ArtifactMismatch(
                    f"{stage_folder} is claimed for files that are gone: {error.message}", remedy=_remedy(stage_folder)
                ) from error
    manifest = json.loads(_read(store, stage_folder, ADAPTER_MANIFEST_FILE, manifest_sha256, stage_folder))
    artifact = FinishedArtifact(uri=stage_folder, digest=manifest["digest"])
    metrics = AdapterMetrics.model_validate_json(json.dumps(manifest["metrics"]))
    return AdapterResult(artifact=artifact, adopted=True, **dict(metrics))


def _copy_files(store: ObjectStore, source: str, stage_folder: str, manifest_sha256: str) -> None:
    manifest_bytes = _read(store, source, ADAPTER_MANIFEST_FILE, manifest_sha256, stage_folder)
    for name, entry in json.loads(manifest_bytes)["files"].items():
        store.put(stage_folder + name, _read(store, source, name, entry["sha256"], stage_folder))
    store.put(stage_folder + ADAPTER_MANIFEST_FILE, manifest_bytes)


def _read(store: ObjectStore, folder: str, name: str, sha256: str, stage_folder: str) -> bytes:
    content = read_verified(store, folder + name, sha256)
    if content is None:
        what = "claim" if name == ADAPTER_MANIFEST_FILE else "manifest"
        raise ArtifactMismatch(f"{folder}{name} is not what its {what} says", remedy=_remedy(stage_folder))
    return content


def _remedy(stage_folder: str) -> str:
    return f"Delete {stage_folder}{CLAIM_FILE}; the arm is then trained again, or goes on from its last checkpoint."

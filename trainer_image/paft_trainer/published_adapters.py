"""Published adapters: folders that come into being once, whoever finishes them.

The attempt writes its files into its own folder first. Then it claims the stage's folder; the claim names the attempt
whose files these will be. Whoever sees a claim without a manifest (the winner after a restart, or a loser) copies those
files, checks their SHA-256 and writes the manifest last. So there is one adapter for one stage digest, and no step
of it is lost with the process that began it.
"""

import hashlib
import json
from collections.abc import Mapping

from paft_api.layout import ADAPTER_MANIFEST_FILE, CLAIM_FILE
from paft_api.report import AdapterMetrics, AdapterResult, FinishedArtifact
from paft_trainer.errors import ArtifactMismatch
from paft_trainer.publishing import read_claim
from paft_trainer.storage import ObjectMissing, ObjectStore

FORMAT_VERSION = 1


def find_published_adapter(store: ObjectStore, stage_folder: str) -> AdapterResult | None:
    """The adapter of this stage digest, where it is published or claimed; a claimed one is finished first."""
    if store.head(stage_folder + CLAIM_FILE) is None:
        return None
    return finish_publication(store, stage_folder, read_claim(store, stage_folder))


def finish_publication(store: ObjectStore, stage_folder: str, claim: Mapping[str, object]) -> AdapterResult:
    """Bring the folder to what its claim says; does nothing where it is so already."""
    if store.head(stage_folder + ADAPTER_MANIFEST_FILE) is None:
        source = claim.get("source")
        if not isinstance(source, str):
            raise ArtifactMismatch(
                f"{stage_folder}{CLAIM_FILE} is no claim of an adapter: it names no source",
                remedy=_remedy(stage_folder),
            )
        try:
            _copy_files(store, source, stage_folder)
        except ObjectMissing as error:
            raise ArtifactMismatch(
                f"{stage_folder} is claimed for files that are gone: {error.message}", remedy=_remedy(stage_folder)
            ) from error
    manifest = json.loads(store.read(stage_folder + ADAPTER_MANIFEST_FILE))
    artifact = FinishedArtifact(uri=stage_folder, digest=manifest["digest"])
    metrics = AdapterMetrics.model_validate_json(json.dumps(manifest["metrics"]))
    return AdapterResult(artifact=artifact, adopted=True, **dict(metrics))


def _copy_files(store: ObjectStore, source: str, stage_folder: str) -> None:
    manifest_bytes = store.read(source + ADAPTER_MANIFEST_FILE)
    for name, entry in json.loads(manifest_bytes)["files"].items():
        content = store.read(source + name)
        if hashlib.sha256(content).hexdigest() != entry["sha256"]:
            raise ArtifactMismatch(f"{source}{name} is not what its manifest says", remedy=_remedy(stage_folder))
        store.put(stage_folder + name, content)
    store.put(stage_folder + ADAPTER_MANIFEST_FILE, manifest_bytes)


def _remedy(stage_folder: str) -> str:
    return f"Delete {stage_folder}{CLAIM_FILE}; the arm is then trained again, or goes on from its last checkpoint."

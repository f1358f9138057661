"""Metadata that a PaftJob's objects have in common."""

from paft_api.labels import attempt_labels, stage_labels
from paft_api.spec import PaftJob
from paft_api.stages import StageName
from paft_operator.manifests.settings import Manifest


def attempt_metadata(job: PaftJob, stage: StageName, attempt: int, name: str) -> Manifest:
    """Of an object of one attempt."""
    return _metadata(job, name, attempt_labels(job.metadata.name, stage, attempt))


def stage_metadata(job: PaftJob, stage: StageName, name: str) -> Manifest:
    """Of an object that all attempts of a stage share."""
    return _metadata(job, name, stage_labels(job.metadata.name, stage))


def _metadata(job: PaftJob, name: str, labels: dict[str, str]) -> Manifest:
    return {
        "name": name,
        "namespace": job.metadata.namespace,
        "labels": labels,
        "ownerReferences": [owner_reference(job)],
    }


def owner_reference(job: PaftJob) -> Manifest:
    """By which the garbage collector deletes an object with its PaftJob, without ever holding up that deletion."""
    return {
        "apiVersion": job.api_version,
        "kind": job.kind,
        "name": job.metadata.name,
        "uid": job.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }

"""The JobSet of an attempt of an arm, or of both arms together: one replicated job per arm.

Its contract: https://jobset.sigs.k8s.io/docs/reference/jobset.v1alpha2/. JobSet makes the headless Service and the
names of pods; a Job of it that fails ends it, and with it its other Job.
"""

from collections.abc import Sequence

from paft_api.labels import attempt_labels
from paft_api.spec import PaftJob
from paft_operator.manifests.arm_job import arm_job_spec
from paft_operator.manifests.metadata import attempt_metadata
from paft_operator.manifests.names import job_set_name, replicated_job_name
from paft_operator.manifests.queueing import held_back, queue_labels
from paft_operator.manifests.settings import Manifest, ManifestSettings
from paft_operator.planner.actions import StartAttempt


def job_set(job: PaftJob, starts: Sequence[StartAttempt], settings: ManifestSettings) -> Manifest:
    """With the arms that start together. Its labels are those of the first; each Job has its own."""
    first = starts[0]
    name = job_set_name(job.metadata.name, starts)
    metadata = attempt_metadata(job, first.stage, first.attempt, name)
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": metadata | {"labels": metadata["labels"] | queue_labels(job)},
        "spec": {
            "failurePolicy": {"maxRestarts": 0},
            "network": {"enableDNSHostnames": True, "publishNotReadyAddresses": True},
            **held_back(job),
            "replicatedJobs": [_replicated_job(job, start, settings, set_name=name) for start in starts],
        },
    }


def _replicated_job(job: PaftJob, start: StartAttempt, settings: ManifestSettings, *, set_name: str) -> Manifest:
    return {
        "name": replicated_job_name(start.stage),
        "replicas": 1,
        "template": {
            "metadata": {"labels": attempt_labels(job.metadata.name, start.stage, start.attempt)},
            "spec": arm_job_spec(job, start, settings, set_name=set_name),
        },
    }

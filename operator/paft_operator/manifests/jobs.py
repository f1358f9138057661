"""What all Jobs of a PaftJob have in common: one try, and no other pod in the place of a lost one."""

from paft_api.spec import PaftJob
from paft_api.stage_pods import CONTAINER
from paft_operator.manifests.metadata import attempt_metadata
from paft_operator.manifests.names import attempt_name
from paft_operator.manifests.pod_template import pod_template
from paft_operator.manifests.queueing import held_back, queue_labels
from paft_operator.manifests.settings import Manifest, ManifestSettings
from paft_operator.planner.actions import StartAttempt

_FAIL_AT_ONCE = {
    "rules": [
        {"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "FailJob", "onExitCodes": {"containerName": CONTAINER, "operator": "NotIn", "values": [0]}},
    ]
}
"""The pods of an arm make one static world: one that is lost ends the attempt, and the next one goes on from a
checkpoint."""


def attempt_job(job: PaftJob, action: StartAttempt, spec: Manifest) -> Manifest:
    """A Job for one attempt."""
    name = attempt_name(job.metadata.name, action.stage, action.attempt)
    metadata = attempt_metadata(job, action.stage, action.attempt, name)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata | {"labels": metadata["labels"] | queue_labels(job)},
        "spec": held_back(job) | spec,
    }


def job_spec(
    job: PaftJob, action: StartAttempt, settings: ManifestSettings, *, pods: Manifest, set_name: str | None = None
) -> Manifest:
    """The spec of such a Job, alone or in a JobSet. `pods`: how many it runs, and how it counts them."""
    return {
        **pods,
        "backoffLimit": 0,
        "podFailurePolicy": _FAIL_AT_ONCE,
        "podReplacementPolicy": "Failed",
        "template": pod_template(job, action, settings, set_name=set_name),
    }

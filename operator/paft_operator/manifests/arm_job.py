"""The Job of an arm: as many pods as nodes, each with an index, all at once."""

from paft_api.spec import PaftJob
from paft_operator.manifests.jobs import attempt_job, job_spec
from paft_operator.manifests.settings import Manifest, ManifestSettings
from paft_operator.manifests.stage_resources import arm_spec
from paft_operator.planner.actions import StartAttempt


def arm_job(job: PaftJob, action: StartAttempt, settings: ManifestSettings) -> Manifest:
    """An Indexed Job; the index is the node's rank."""
    return attempt_job(job, action, arm_job_spec(job, action, settings))


def arm_job_spec(
    job: PaftJob, action: StartAttempt, settings: ManifestSettings, *, set_name: str | None = None
) -> Manifest:
    """Its spec. `set_name`: of the JobSet that it is a part of."""
    nodes = arm_spec(job, action.stage).resources.nodes
    pods = {"completionMode": "Indexed", "completions": nodes, "parallelism": nodes}
    return job_spec(job, action, settings, pods=pods, set_name=set_name)

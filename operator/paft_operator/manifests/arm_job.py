"""The Job of an arm: as many pods as nodes, each with an index, all at once."""

from paft_api.spec import PaftJob
from paft_operator.manifests.jobs import attempt_job
from paft_operator.manifests.settings import Manifest, ManifestSettings
from paft_operator.manifests.stage_resources import arm_spec
from paft_operator.planner.actions import StartAttempt


def arm_job(job: PaftJob, action: StartAttempt, settings: ManifestSettings) -> Manifest:
    """An Indexed Job; the index is the node's rank."""
    nodes = arm_spec(job, action.stage).resources.nodes
    pods = {"completionMode": "Indexed", "completions": nodes, "parallelism": nodes}
    return attempt_job(job, action, settings, pods=pods)

"""The Job of a stage that runs as one pod on CPU: prepare or merge."""

from paft_api.spec import PaftJob
from paft_operator.manifests.jobs import attempt_job, job_spec
from paft_operator.manifests.settings import Manifest, ManifestSettings
from paft_operator.planner.actions import StartAttempt


def single_pod_job(job: PaftJob, action: StartAttempt, settings: ManifestSettings) -> Manifest:
    """A plain Job of one pod."""
    return attempt_job(job, action, job_spec(job, action, settings, pods={"completions": 1, "parallelism": 1}))

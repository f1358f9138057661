"""The ConfigMap that an attempt reports to."""

from paft_api.spec import PaftJob
from paft_operator.manifests.metadata import attempt_metadata
from paft_operator.manifests.names import report_name
from paft_operator.manifests.settings import Manifest
from paft_operator.planner.actions import StartAttempt


def report_config_map(job: PaftJob, action: StartAttempt) -> Manifest:
    """Without data, so that applying it again never owns or resets what the pod wrote."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": attempt_metadata(
            job, action.stage, action.attempt, report_name(job.metadata.name, action.stage, action.attempt)
        ),
    }

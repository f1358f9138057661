"""Labels of everything a PaftJob owns, in a cluster."""

from paft_api.stages import StageName

MANAGED_BY = "app.kubernetes.io/managed-by"
JOB_NAME = "paft.dev/job-name"
STAGE = "paft.dev/stage"
ATTEMPT = "paft.dev/attempt"


def attempt_labels(job_name: str, stage: StageName, attempt: int) -> dict[str, str]:
    """Labels of the objects of one attempt."""
    return {
        MANAGED_BY: "paft-operator",
        "app.kubernetes.io/name": "paft",
        "app.kubernetes.io/component": str(stage),
        JOB_NAME: job_name,
        STAGE: str(stage),
        ATTEMPT: str(attempt),
    }

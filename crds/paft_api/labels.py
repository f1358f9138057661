"""Labels and annotations of everything a PaftJob owns, in a cluster."""

from paft_api.stages import StageName

MANAGED_BY = "app.kubernetes.io/managed-by"
NAME = "app.kubernetes.io/name"
COMPONENT = "app.kubernetes.io/component"
JOB_NAME = "paft.dev/job-name"
JOB_UID = "paft.dev/job-uid"
"""On pods: pods of an earlier PaftJob of the same name may still be ending."""
STAGE = "paft.dev/stage"
ATTEMPT = "paft.dev/attempt"

GENERATION = "paft.dev/generation"
"""Annotation of a RunSpec ConfigMap: the generation its attempt was started for."""
STAGE_DIGEST = "paft.dev/stage-digest"
"""Annotation of a RunSpec ConfigMap: the stage digest its attempt was started for; absent for prepare."""
STOPPED = "paft.dev/stopped"
"""Annotation of a RunSpec ConfigMap whose attempt was asked to stop; its value is the reason."""
RETRY = "paft.dev/retry"
"""Annotation of a PaftJob: a new value asks for a failed job to be tried again."""

RESERVED_KEYS = (MANAGED_BY, NAME, COMPONENT, "job-name", "controller-uid")
RESERVED_PREFIXES = ("paft.dev/", "batch.kubernetes.io/")
"""Labels and annotations of ours and of the Job controller, which no user may set on pods."""


def attempt_labels(job_name: str, stage: StageName, attempt: int) -> dict[str, str]:
    """Labels of the objects of one attempt."""
    return stage_labels(job_name, stage) | {ATTEMPT: str(attempt)}


def stage_labels(job_name: str, stage: StageName) -> dict[str, str]:
    """Labels of what all attempts of a stage share."""
    return {
        MANAGED_BY: "paft-operator",
        NAME: "paft",
        COMPONENT: str(stage),
        JOB_NAME: job_name,
        STAGE: str(stage),
    }


def is_reserved(key: str) -> bool:
    """Whether no user may set a label or an annotation on pods."""
    return key in RESERVED_KEYS or key.startswith(RESERVED_PREFIXES)

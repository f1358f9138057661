"""Pods that the Job controller does not get created; it says why in Events of the Job only."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from paft_api.causes import Cause
from paft_api.report import Failure
from paft_operator.observing.children import Children
from paft_operator.observing.records import JobRecord, PodRecord

PATIENCE = timedelta(seconds=10)
"""Far longer than a Job controller takes that is allowed to."""

REMEDY = (
    "Look at the Job's Events (kubectl describe job): trainer.serviceAccountName may not exist, a quota be used up, "
    "or a policy of the namespace refuse the pod."
)


def missing_pods(job: JobRecord, pods: Sequence[PodRecord], now: datetime) -> Failure | None:
    """Why an attempt waits of which pods are missing; None while they may still come."""
    due = _due(job, pods)
    if due is None or now < due:
        return None
    message = f"Job {job.name} has {len(pods)} of {job.pods} pods: others are not created."
    return Failure(cause=Cause.UNSCHEDULABLE, message=message, remedy=REMEDY)


def seconds_until_missing(children: Children, now: datetime) -> float | None:
    """When time alone may make a pod of an active Job a missing one."""
    jobs = [(attempt.job, attempt.pods) for attempt in children.values() if attempt.job is not None]
    left = [(due - now).total_seconds() for job, pods in jobs if (due := _due(job, pods)) is not None and due > now]
    return min(left, default=None)


def _due(job: JobRecord, pods: Sequence[PodRecord]) -> datetime | None:
    is_waiting = job.is_active and len(pods) < job.pods
    return job.admitted_at + PATIENCE if is_waiting and job.admitted_at is not None else None

"""The objects of one PaftJob, by attempt; what only claims to be one of them is left out."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from paft_operator.observing.records import (
    AttemptKey,
    ChildRecord,
    JobRecord,
    PodRecord,
    ReportRecord,
    RunSpecRecord,
)


@dataclass(slots=True)
class AttemptChildren:
    """The objects of one attempt."""

    job: JobRecord | None = None
    run_spec: RunSpecRecord | None = None
    report: ReportRecord | None = None
    pods: list[PodRecord] = field(default_factory=list)


Children = dict[AttemptKey, AttemptChildren]


def children_of(job_uid: str, records: Iterable[ChildRecord]) -> Children:
    """The objects that the PaftJob with this uid controls, and the pods that its Jobs control."""
    attempts: defaultdict[AttemptKey, AttemptChildren] = defaultdict(AttemptChildren)
    pods: list[PodRecord] = []
    for record in records:
        if isinstance(record, PodRecord):
            pods.append(record)
        elif record.owner_uid == job_uid:
            _put(attempts[record.attempt_key], record)
    for pod in pods:
        attempt = attempts.get(pod.attempt_key)
        if attempt is not None and attempt.job is not None and _is_of(attempt.job, pod):
            attempt.pods.append(pod)
    return dict(attempts)


def _is_of(job: JobRecord, pod: PodRecord) -> bool:
    """Whether a pod is one of this Job's. One that is gone counts unless a queue has held the Job back since."""
    if job.uid != pod.owner_uid:
        return False
    return not pod.is_gone or (job.admitted_at is not None and pod.created_at >= job.admitted_at)


def _put(attempt: AttemptChildren, record: ChildRecord) -> None:
    match record:
        case JobRecord():
            attempt.job = record
        case RunSpecRecord():
            attempt.run_spec = record
        case ReportRecord():
            attempt.report = record

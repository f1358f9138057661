"""The objects of one PaftJob, by attempt; what only claims to be one of them is left out."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from paft_operator.observing.records import (
    AttemptKey,
    ChildRecord,
    JobRecord,
    JobSetRecord,
    JobState,
    PodRecord,
    ReportRecord,
    RunSpecRecord,
)


@dataclass(slots=True)
class AttemptChildren:
    """The objects of one attempt.

    `job`: also that of a JobSet. `ended_with_others`: its Job is gone because another one of its JobSet has failed.
    """

    job: JobRecord | None = None
    run_spec: RunSpecRecord | None = None
    report: ReportRecord | None = None
    pods: list[PodRecord] = field(default_factory=list)
    ended_with_others: bool = False


Children = dict[AttemptKey, AttemptChildren]


def children_of(job_uid: str, records: Iterable[ChildRecord]) -> Children:
    """The objects that the PaftJob with this uid controls, and the pods that its Jobs control."""
    records = list(records)
    sets = [one for one in records if isinstance(one, JobSetRecord) and one.owner_uid == job_uid]
    owners = {job_uid, *(one.uid for one in sets)}
    attempts: defaultdict[AttemptKey, AttemptChildren] = defaultdict(AttemptChildren)
    for record in records:
        if not isinstance(record, PodRecord | JobSetRecord) and record.owner_uid in owners:
            _put(attempts[record.attempt_key], record)
    for pod in (one for one in records if isinstance(one, PodRecord)):
        attempt = attempts.get(pod.attempt_key)
        if attempt is not None and attempt.job is not None and attempt.job.uid == pod.owner_uid:
            attempt.pods.append(pod)
    for job_set in sets:
        for key, pods in zip(job_set.attempts, job_set.pods, strict=True):
            _see_in_set(attempts[key], key, job_set, pods)
    return dict(attempts)


def _put(attempt: AttemptChildren, record: ChildRecord) -> None:
    match record:
        case JobRecord():
            attempt.job = record
        case RunSpecRecord():
            attempt.run_spec = record
        case ReportRecord():
            attempt.report = record


def _see_in_set(attempt: AttemptChildren, key: AttemptKey, job_set: JobSetRecord, pods: int) -> None:
    """A JobSet creates its Jobs, and deletes those that still run when it has failed or is deleted itself."""
    is_going = job_set.is_deleting or job_set.state is JobState.FAILED
    if attempt.job is not None:
        attempt.job = replace(attempt.job, is_deleting=attempt.job.is_deleting or (is_going and attempt.job.is_active))
    elif job_set.state is JobState.ACTIVE:
        attempt.job = _job_to_come(key, job_set, pods)
    else:
        attempt.ended_with_others = True


def _job_to_come(key: AttemptKey, job_set: JobSetRecord, pods: int) -> JobRecord:
    """What is so while the JobSet's controller has not created the Job."""
    return JobRecord(
        namespace=job_set.namespace,
        name=job_set.name,
        uid=job_set.uid,
        version=job_set.version,
        owner_uid=job_set.owner_uid,
        job_name=job_set.job_name,
        stage=key.stage,
        attempt=key.attempt,
        created_at=job_set.created_at,
        state=JobState.ACTIVE,
        reason="",
        message="",
        finished_at=None,
        admitted_at=job_set.admitted_at,
        is_deleting=job_set.is_deleting,
        pods=pods,
    )

"""From the objects of a PaftJob to the attempts that the planner sees."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType

from paft_api.report import Failure, StageReport
from paft_api.spec import PaftJob
from paft_api.stages import StageName
from paft_api.status import PaftJobStatus, StageState
from paft_operator.observing.children import AttemptChildren, Children
from paft_operator.observing.failures import (
    failure_of_attempt,
    failure_of_deleted_job,
    failure_of_lost_pod,
    pending_failure,
)
from paft_operator.observing.lost_pods import lost_pod
from paft_operator.observing.missing_pods import missing_pods
from paft_operator.observing.records import AttemptKey, JobRecord, JobState, PodRecord, RunSpecRecord
from paft_operator.observing.reports import read_report, why_ignored
from paft_operator.observing.unprepared_pods import unprepared_pod
from paft_operator.planner.observation import AttemptObservation, AttemptState, Observed, QueueReason


def observe(
    job: PaftJob,
    children: Children,
    now: datetime,
    *,
    retry_token: str | None = None,
    output_in_use_by: str | None = None,
    queue_reasons: Mapping[AttemptKey, QueueReason] = MappingProxyType({}),
) -> Observed:
    """What there is at this moment. A Job that status says was started and `children` lacks must really be gone."""
    status = job.status if job.status is not None else PaftJobStatus()
    seen = [
        replace(one, queue_reason=queue_reasons.get(key))
        for key, attempt in children.items()
        if (one := _observe_attempt(job, status, key, attempt, now)) is not None
    ]
    lost = _lost_without_trace(status, {AttemptKey(one.stage, one.attempt) for one in seen})
    return Observed(
        attempts=(*seen, *lost),
        has_children=bool(children),
        retry_token=retry_token,
        output_in_use_by=output_in_use_by,
        arms_start_together=job.spec.scheduling.admission == "Atomic",
    )


def ignored_reports(job_uid: str, children: Children) -> dict[AttemptKey, str]:
    """Attempts that wrote something else than a report of their own, and what is wrong with it."""
    return {
        key: why
        for key, attempt in children.items()
        if attempt.report is not None and (why := why_ignored(attempt.report, job_uid=job_uid)) is not None
    }


def _observe_attempt(
    job: PaftJob, status: PaftJobStatus, key: AttemptKey, attempt: AttemptChildren, now: datetime
) -> AttemptObservation | None:
    report = _report_if_needed(job, status, key, attempt)
    if attempt.job is not None:
        seen = _with_job(status, key, attempt, report, now)
        lost = lost_pod(attempt.pods, now) if seen.state is AttemptState.RUNNING else None
        return seen if lost is None else _given_up(seen, lost)
    if attempt.run_spec is not None:
        return _without_job(status, key, attempt.run_spec, report, ended_with_others=attempt.ended_with_others)
    return None


def _report_if_needed(
    job: PaftJob, status: PaftJobStatus, key: AttemptKey, attempt: AttemptChildren
) -> StageReport | None:
    """What status says is finished is not read again."""
    is_finished = status.stage(key.stage).state is StageState.SUCCEEDED
    if is_finished and status.observed_generation == job.metadata.generation:
        return None
    assert job.metadata.uid is not None
    return read_report(attempt.report, job_uid=job.metadata.uid)


def _with_job(
    status: PaftJobStatus, key: AttemptKey, attempt: AttemptChildren, report: StageReport | None, now: datetime
) -> AttemptObservation:
    found = attempt.job
    assert found is not None
    state, failure = AttemptState.RUNNING, None
    # A Job that is being deleted may fail on the way, as its pods are asked to stop.
    if found.state is JobState.COMPLETE:
        state = AttemptState.SUCCEEDED
    elif found.state is JobState.FAILED and not found.is_deleting:
        state, failure = AttemptState.FAILED, failure_of_attempt(found, attempt.pods, report)
    generation, digest = _made_for(status, key, attempt.run_spec)
    running_since = _of_all_pods(attempt, [pod.started_at for pod in attempt.pods])
    is_pending = state is AttemptState.RUNNING and running_since is None
    return AttemptObservation(
        stage=key.stage,
        attempt=key.attempt,
        generation=generation,
        stage_digest=digest,
        state=state,
        started_at=found.created_at,
        finished_at=None if state is AttemptState.RUNNING else found.finished_at or found.created_at,
        stopping=found.is_deleting,
        report=report,
        failure=failure,
        admitted_at=found.admitted_at,
        scheduled_at=_of_all_pods(attempt, [pod.scheduled_at for pod in attempt.pods]),
        running_since=running_since,
        pending=_pending(found, attempt.pods, now) if is_pending else None,
    )


def _pending(found: JobRecord, pods: Sequence[PodRecord], now: datetime) -> Failure | None:
    return pending_failure(pods) or missing_pods(found, pods, now) or unprepared_pod(pods, now)


def _given_up(seen: AttemptObservation, pod: PodRecord) -> AttemptObservation:
    """Its processes are taken for ended: they were asked to, and nobody knows better."""
    ended = replace(seen, state=AttemptState.STOPPED, stopping=False, finished_at=pod.gone_by, pending=None)
    return ended if seen.stopping else replace(ended, state=AttemptState.FAILED, failure=failure_of_lost_pod(pod))


def _without_job(
    status: PaftJobStatus,
    key: AttemptKey,
    run_spec: RunSpecRecord,
    report: StageReport | None,
    *,
    ended_with_others: bool,
) -> AttemptObservation | None:
    """Stopped by us or with the other arm, deleted by somebody else, or not begun."""
    state, failure = AttemptState.STOPPED, None
    if report is not None and report.has_result:
        state = AttemptState.SUCCEEDED
    elif run_spec.stopped is None and not ended_with_others:
        if key.attempt > status.stage(key.stage).attempt:
            return None
        state, failure = AttemptState.FAILED, failure_of_deleted_job()
    told_at = [report.updated_at] if report is not None else []
    stopped_at = [run_spec.stopped_at] if run_spec.stopped_at is not None else []
    return AttemptObservation(
        stage=key.stage,
        attempt=key.attempt,
        generation=run_spec.generation,
        stage_digest=run_spec.stage_digest,
        state=state,
        started_at=run_spec.created_at,
        finished_at=max([run_spec.created_at, *told_at, *stopped_at]),
        report=report,
        failure=failure,
    )


def _lost_without_trace(status: PaftJobStatus, seen: set[AttemptKey]) -> Iterator[AttemptObservation]:
    """Attempts that status says are running, and of which nothing is left."""
    for entry in status.stages:
        if (
            entry.state is StageState.RUNNING
            and entry.attempt > 0
            and AttemptKey(entry.name, entry.attempt) not in seen
        ):
            assert entry.started_at is not None
            yield AttemptObservation(
                stage=entry.name,
                attempt=entry.attempt,
                generation=status.observed_generation,
                stage_digest=None if entry.name is StageName.PREPARE else entry.digest,
                state=AttemptState.FAILED,
                started_at=entry.started_at,
                finished_at=entry.started_at,
                failure=failure_of_deleted_job(),
            )


def _made_for(status: PaftJobStatus, key: AttemptKey, run_spec: RunSpecRecord | None) -> tuple[int, str | None]:
    """Generation and stage digest; from status where somebody deleted the RunSpec."""
    if run_spec is not None:
        return run_spec.generation, run_spec.stage_digest
    entry = status.stage(key.stage)
    return status.observed_generation, None if key.stage is StageName.PREPARE else entry.digest


def _of_all_pods(attempt: AttemptChildren, instants: Iterable[datetime | None]) -> datetime | None:
    """The last of these instants; None while not all pods have theirs."""
    if attempt.job is None:
        return None
    known = [instant for instant in instants if instant is not None]
    return max(known) if len(known) >= attempt.job.pods else None

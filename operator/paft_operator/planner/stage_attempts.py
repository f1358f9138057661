"""One stage: follow what runs, take over what succeeded, retry what failed, start what is missing."""

from datetime import timedelta

from paft_api.conditions import EARLIER_SPEC
from paft_api.report import FinishedArtifact, StageReport
from paft_api.run_spec import AdapterReference
from paft_api.stages import ARMS, StageName
from paft_api.status import StageState, StageStatus
from paft_operator.planner.actions import StartAttempt
from paft_operator.planner.observation import AttemptObservation, AttemptState
from paft_operator.planner.planning import Planning
from paft_operator.planner.progress import progress_fields
from paft_operator.planner.retries import counted_failures, failure_of, has_result, may_retry, retry_pause_seconds


def plan_stage(planning: Planning, stage: StageName, digest: str | None) -> None:
    """Bring one stage forward towards a result for `digest` (None for prepare: towards one for this generation)."""
    if planning.stages[stage].state is StageState.SUCCEEDED:
        return
    running = planning.running(stage)
    if running is not None:
        _follow(planning, running, is_wanted=_is_for(planning, running, digest))
        return
    succeeded = successful_attempt(planning, stage, digest)
    if succeeded is not None:
        _succeed(planning, succeeded)
        return
    _retry_or_start(planning, stage, digest)


def follow_running(planning: Planning, stage: StageName) -> None:
    """Keep the status of a running attempt up to date without deciding anything."""
    running = planning.running(stage)
    if running is not None and planning.stages[stage].state is not StageState.SUCCEEDED:
        _follow(planning, running, is_wanted=True)


def successful_attempt(planning: Planning, stage: StageName, digest: str | None) -> AttemptObservation | None:
    """The newest attempt that ended with a result for `digest`."""
    return next(
        (
            attempt
            for attempt in reversed(planning.attempts(stage))
            if attempt.state is AttemptState.SUCCEEDED
            and has_result(attempt)
            and _is_for(planning, attempt, digest)
            # Merge is asked anew in each generation, because only it sees whether the output is still there.
            and (stage in ARMS or attempt.generation == planning.generation)
        ),
        None,
    )


def _is_for(planning: Planning, attempt: AttemptObservation, digest: str | None) -> bool:
    if attempt.stage is StageName.PREPARE:
        return attempt.generation == planning.generation
    return attempt.stage_digest == digest


def _follow(planning: Planning, running: AttemptObservation, *, is_wanted: bool) -> None:
    planning.update(
        running.stage,
        state=StageState.RUNNING,
        attempt=running.attempt,
        started_at=running.started_at,
        retry_at=None,
        **progress_fields(running.report),
    )
    if not is_wanted:
        planning.stop(running, EARLIER_SPEC)


def _succeed(planning: Planning, attempt: AttemptObservation) -> None:
    assert attempt.report is not None
    artifact = _artifact(attempt.report)
    planning.update(
        attempt.stage,
        state=StageState.SUCCEEDED,
        attempt=attempt.attempt,
        artifact_uri=artifact.uri if artifact is not None else None,
        artifact_digest=artifact.digest if artifact is not None else None,
        finished_at=attempt.finished_at,
        cause=None,
        retry_at=None,
        **(progress_fields(attempt.report) | {"eta": None, "message": ""}),
    )


def _artifact(report: StageReport) -> FinishedArtifact | None:
    if report.adapter is not None:
        return report.adapter.artifact
    return report.merge.artifact if report.merge is not None else None


def _retry_or_start(planning: Planning, stage: StageName, digest: str | None) -> None:
    attempts = [
        attempt
        for attempt in planning.attempts(stage)
        if attempt.generation == planning.generation and _is_for(planning, attempt, digest)
    ]
    last = attempts[-1] if attempts else None
    failure = failure_of(last) if last is not None else None
    failures = counted_failures(attempts)
    planning.update(stage, failures=failures)
    if last is not None and last.state is AttemptState.STOPPED:
        planning.update(stage, state=StageState.STOPPED, attempt=last.attempt, **progress_fields(last.report))
    if failure is not None and last is not None:
        planning.update(
            stage,
            attempt=last.attempt,
            cause=failure.cause,
            **(progress_fields(last.report) | {"message": f"{failure.message} {failure.remedy}"}),
        )
        if not may_retry(failure, failures=failures, backoff_limit=planning.job.spec.run_policy.backoff_limit):
            planning.update(stage, state=StageState.FAILED, finished_at=last.finished_at, retry_at=None)
            return
        pause = retry_pause_seconds(failures, first=planning.first_retry_seconds)
        retry_at = (last.finished_at or planning.now) + timedelta(seconds=pause)
        planning.update(stage, state=StageState.WAITING, retry_at=retry_at)
        if planning.now < retry_at:
            planning.wake_up_in((retry_at - planning.now).total_seconds())
            return
    _start(planning, stage, digest)


def _start(planning: Planning, stage: StageName, digest: str | None) -> None:
    if not planning.may_start:
        return
    entry = planning.stages[stage]
    known = max((attempt.attempt for attempt in planning.attempts(stage)), default=0)
    # An attempt that status speaks of and nobody has seen was decided on, but not begun: it keeps its number.
    was_decided = entry.state is StageState.RUNNING and entry.attempt > known
    number = entry.attempt if was_decided else max(known, entry.attempt) + 1
    sft, preference = (planning.stages[arm] for arm in ARMS)
    is_merge = stage is StageName.MERGE
    planning.actions.append(
        StartAttempt(
            stage=stage,
            attempt=number,
            base_digest=planning.base.digest if planning.base is not None and stage is not StageName.PREPARE else None,
            stage_digest=digest,
            sft_adapter=_adapter_reference(sft) if is_merge else None,
            preference_adapter=_adapter_reference(preference) if is_merge else None,
        )
    )
    planning.update(stage, state=StageState.RUNNING, attempt=number, started_at=planning.now, retry_at=None, message="")


def _adapter_reference(entry: StageStatus) -> AdapterReference:
    assert entry.artifact_uri is not None
    return AdapterReference(uri=entry.artifact_uri, digest=entry.artifact_digest)

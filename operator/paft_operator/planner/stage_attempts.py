"""One stage: follow what runs, take over what succeeded, retry what failed, start what is missing."""

from datetime import timedelta

from paft_api.conditions import ALREADY_FINISHED, EARLIER_SPEC
from paft_api.report import FinishedArtifact, StageReport
from paft_api.run_spec import AdapterReference
from paft_api.stages import ARMS, StageName
from paft_api.status import OutputStatus, StageState, StageStatus
from paft_operator.planner.actions import StartAttempt
from paft_operator.planner.failure_messages import failure_message
from paft_operator.planner.observation import AttemptObservation, AttemptState
from paft_operator.planner.own_reports import ended_at
from paft_operator.planner.planning import Planning
from paft_operator.planner.progress import progress_fields
from paft_operator.planner.retries import counted_failures, failure_of, has_result, may_retry, retry_pause_seconds


def plan_stage(planning: Planning, stage: StageName, digest: str | None) -> None:
    """Bring one stage forward towards a result for `digest` (None for prepare: towards one for this generation)."""
    entry = planning.stages[stage]
    running = planning.running(stage)
    if entry.state is StageState.SUCCEEDED:
        if running is not None:
            planning.stop(running, ALREADY_FINISHED)
        return
    if planning.stop_revived(stage):
        return
    if running is not None:
        _catch_up(planning, running, digest)
        _follow(planning, running, is_wanted=_is_for(planning, running, digest))
        return
    succeeded = successful_attempt(planning, stage, digest)
    if succeeded is not None:
        _catch_up(planning, succeeded, digest)
        succeed(planning, succeeded)
    elif entry.state is StageState.RUNNING and entry.attempt > planning.newest_number(stage):
        # Decided on, but nobody has seen it: it may not have begun, and then it keeps its number.
        _start(planning, stage, digest, number=entry.attempt)
    else:
        _retry_or_start(planning, stage, digest)


def follow_running(planning: Planning, stage: StageName) -> None:
    """Keep the status of a running attempt up to date; one that ended meanwhile is judged later."""
    running = planning.running(stage)
    entry = planning.stages[stage]
    if entry.state is StageState.SUCCEEDED or planning.stop_revived(stage):
        return
    if running is not None:
        _follow(planning, running, is_wanted=True)
    elif entry.state is StageState.RUNNING:
        ended = planning.attempts(stage)
        was_stopped = bool(ended) and ended[-1].state is AttemptState.STOPPED
        planning.update(stage, state=StageState.STOPPED if was_stopped else StageState.PENDING, eta=None, message="")


def successful_attempt(planning: Planning, stage: StageName, digest: str | None) -> AttemptObservation | None:
    """The newest attempt that ended with a result for `digest`, of which prepare could not know."""
    return next(
        (
            attempt
            for attempt in reversed(planning.attempts(stage))
            if attempt.state is AttemptState.SUCCEEDED
            and has_result(attempt)
            and _is_for(planning, attempt, digest)
            and _counts_here(planning, attempt)
        ),
        None,
    )


def succeed(planning: Planning, attempt: AttemptObservation) -> None:
    """Take over the result of an attempt."""
    assert attempt.report is not None
    artifact = _artifact(attempt.report)
    planning.update(
        attempt.stage,
        state=StageState.SUCCEEDED,
        attempt=attempt.attempt,
        artifact_uri=artifact.uri if artifact is not None else None,
        artifact_digest=artifact.digest if artifact is not None else None,
        started_at=attempt.started_at,
        finished_at=ended_at(attempt),
        cause=None,
        retry_at=None,
        **(progress_fields(attempt.report) | {"eta": None, "message": ""}),
    )
    if attempt.report.merge is not None:
        result = attempt.report.merge
        planning.output = OutputStatus(
            uri=result.artifact.uri, digest=result.artifact.digest, method=result.method, bytes=result.bytes
        )


def _is_for(planning: Planning, attempt: AttemptObservation, digest: str | None) -> bool:
    if attempt.stage is StageName.PREPARE:
        return attempt.generation == planning.generation
    return attempt.stage_digest == digest


def _counts_here(planning: Planning, attempt: AttemptObservation) -> bool:
    """Whether a result is news: of older work, prepare has looked whether its artifact is still there."""
    if attempt.generation == planning.generation:
        return True
    prepared_from = planning.stages[StageName.PREPARE].started_at
    is_news = prepared_from is not None and ended_at(attempt) >= prepared_from
    if attempt.report is not None and attempt.report.merge is not None:
        # The recipe leaves out where the output goes.
        return is_news and attempt.report.merge.artifact.uri == planning.job.spec.merge.output.uri
    return is_news


def _follow(planning: Planning, running: AttemptObservation, *, is_wanted: bool) -> None:
    entry = planning.stages[running.stage]
    planning.update(
        running.stage,
        state=StageState.RUNNING,
        attempt=running.attempt,
        # When it was decided on: that its Job was created a second later is no news worth a write.
        started_at=entry.started_at if entry.attempt == running.attempt else running.started_at,
        retry_at=None,
        **(progress_fields(running.report) if is_wanted else {"eta": None, "message": EARLIER_SPEC}),
    )
    if is_wanted and running.running_since is None and running.pending is not None:
        planning.update(running.stage, message=failure_message(running.pending))
    if not is_wanted:
        planning.stop(running, EARLIER_SPEC)


def _artifact(report: StageReport) -> FinishedArtifact | None:
    if report.adapter is not None:
        return report.adapter.artifact
    return report.merge.artifact if report.merge is not None else None


def _retry_or_start(planning: Planning, stage: StageName, digest: str | None) -> None:
    entry = planning.stages[stage]
    next_number = max(planning.newest_number(stage), entry.attempt) + 1
    if entry.attempt <= planning.newest_number(stage):
        _judge(planning, stage, _attempts_for(planning, stage, digest))
    judged = planning.stages[stage]
    if judged.state is StageState.FAILED:
        return
    if judged.retry_at is not None and planning.now < judged.retry_at:
        if planning.may_start:
            planning.wake_up_in((judged.retry_at - planning.now).total_seconds())
        return
    _start(planning, stage, digest, number=next_number)


def _catch_up(planning: Planning, newest: AttemptObservation, digest: str | None) -> None:
    """Judge what came before an attempt that status does not know: it began, and then no status could be written."""
    if newest.attempt > planning.stages[newest.stage].attempt:
        earlier = [one for one in _attempts_for(planning, newest.stage, digest) if one.attempt < newest.attempt]
        _judge(planning, newest.stage, earlier)


def _attempts_for(planning: Planning, stage: StageName, digest: str | None) -> list[AttemptObservation]:
    return [attempt for attempt in planning.attempts(stage) if _is_for(planning, attempt, digest)]


def _judge(planning: Planning, stage: StageName, attempts: list[AttemptObservation]) -> None:
    """Say of a stage what the last of these attempts came to; older generations' failures are forgiven."""
    last = attempts[-1] if attempts else None
    if last is None or last.generation != planning.generation or not planning.counts(last):
        planning.update(stage, state=StageState.PENDING, eta=None, message="")
        return
    failures = _failures(planning, stage, attempts)
    failure = failure_of(last)
    fields = progress_fields(last.report) | {"attempt": last.attempt, "failures": failures, "eta": None}
    if failure is None:
        planning.update(stage, **fields | {"state": StageState.STOPPED, "cause": None, "message": ""})
        return
    fields |= {"cause": failure.cause, "message": failure_message(failure)}
    if may_retry(failure, failures=failures, backoff_limit=planning.job.spec.run_policy.backoff_limit):
        counted = failures > counted_failures(attempts[:-1], generation=planning.generation)
        pause = retry_pause_seconds(failures, first=planning.first_retry_seconds) if counted else 0.0
        retry_at = ended_at(last) + timedelta(seconds=pause)
        planning.update(stage, **fields | {"state": StageState.WAITING, "retry_at": retry_at})
    else:
        planning.update(stage, **fields | {"state": StageState.FAILED, "finished_at": ended_at(last), "retry_at": None})
    planning.judged[stage] = planning.stages[stage]


def _failures(planning: Planning, stage: StageName, attempts: list[AttemptObservation]) -> int:
    """Failures that count; for attempts that are not known any more, as they were counted when they were."""
    attempts = [attempt for attempt in attempts if planning.counts(attempt)]
    failures = counted_failures(attempts, generation=planning.generation)
    entry = planning.stages[stage]
    judged = entry.attempt - 1 if entry.state is StageState.RUNNING else entry.attempt
    since = counted_failures([one for one in attempts if one.attempt > judged], generation=planning.generation)
    return max(failures, entry.failures + since)


def _start(planning: Planning, stage: StageName, digest: str | None, *, number: int) -> None:
    if not planning.may_start:
        if planning.stages[stage].state is StageState.RUNNING:
            planning.update(stage, state=StageState.STOPPED, eta=None, message="")
        return
    sft, preference = (planning.stages[arm] for arm in ARMS)
    is_merge = stage is StageName.MERGE
    planning.actions.append(
        StartAttempt(
            stage=stage,
            attempt=number,
            base_digest=planning.base.digest if planning.base is not None and stage is not StageName.PREPARE else None,
            stage_digest=digest,
            reached_step=_reached_step(planning, stage, digest) if stage in ARMS else 0,
            sft_adapter=_adapter_reference(sft) if is_merge else None,
            preference_adapter=_adapter_reference(preference) if is_merge else None,
        )
    )
    was_decided = planning.stages[stage].state is StageState.RUNNING and planning.stages[stage].attempt == number
    planning.update(
        stage,
        state=StageState.RUNNING,
        attempt=number,
        started_at=planning.stages[stage].started_at if was_decided else planning.now,
        retry_at=None,
        eta=None,
        message="",
    )


def _reached_step(planning: Planning, stage: StageName, digest: str | None) -> int:
    """As far as reports told, which may be a few seconds behind."""
    told = [one.report.progress.step for one in _attempts_for(planning, stage, digest) if one.report is not None]
    return max(step or 0 for step in (planning.stages[stage].step, *told))


def _adapter_reference(entry: StageStatus) -> AdapterReference:
    assert entry.artifact_uri is not None
    return AdapterReference(uri=entry.artifact_uri, digest=entry.artifact_digest)

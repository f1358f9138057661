"""The status that follows from the stages: conditions first, and the phase from them."""

from datetime import datetime

from paft_api.conditions import (
    ADMITTED,
    ADMITTED_MESSAGE,
    CHILDREN_CURRENT_MESSAGE,
    CHILDREN_PENDING_MESSAGE,
    COMPLETED,
    JOB_FAILED,
    JOB_SUCCEEDED,
    PENDING,
    PROGRESSING,
    QUEUED,
    QUEUED_MESSAGE,
    RESUMED,
    RESUMED_MESSAGE,
    RUNNING,
    STOPPED,
    SUSPENDED,
    SUSPENDED_MESSAGE,
    WAITING,
)
from paft_api.stages import ARMS, StageName
from paft_api.status import (
    Condition,
    ConditionType,
    PaftJobStatus,
    Phase,
    StageState,
    StageStatus,
)
from paft_operator.planner.failure_messages import failure_message
from paft_operator.planner.planning import Planning

_STAGE_CONDITIONS = {
    StageName.PREPARE: ConditionType.VALIDATED,
    StageName.SFT: ConditionType.SFT_SUCCEEDED,
    StageName.PREFERENCE: ConditionType.PREFERENCE_SUCCEEDED,
    StageName.MERGE: ConditionType.MERGED,
}
_REASONS = {
    StageState.PENDING: PENDING,
    StageState.RUNNING: RUNNING,
    StageState.WAITING: WAITING,
    StageState.STOPPED: STOPPED,
    StageState.SUCCEEDED: COMPLETED,
}

Verdict = tuple[str, str, str]
"""Status, reason and message of a condition."""


def conclude(planning: Planning) -> PaftJobStatus:
    """The whole status."""
    failure = _failure(planning)
    succeeded = failure is None and planning.stages[StageName.MERGE].state is StageState.SUCCEEDED
    verdicts = {_STAGE_CONDITIONS[name]: _stage_verdict(entry) for name, entry in planning.stages.items()}
    verdicts |= _terminal_verdicts(planning, failure, succeeded=succeeded)
    if planning.waiting is not None and not succeeded and failure is None:
        verdicts[ConditionType.VALIDATED] = _waiting_verdict(planning, planning.waiting)
    verdicts |= _suspension_verdict(planning)
    verdicts |= _queue_verdict(planning)
    verdicts |= _kstatus_verdicts(planning, failure, succeeded=succeeded)
    etas = [planning.stages[arm].eta for arm in ARMS if planning.stages[arm].state is StageState.RUNNING]
    return PaftJobStatus(
        observed_generation=planning.generation,
        phase=_phase(planning, failure, succeeded=succeeded),
        conditions=tuple(_condition(planning, type_, verdict) for type_, verdict in verdicts.items()),
        eta=_longest(etas),
        merge_method=planning.job.spec.merge.method,
        base=planning.base,
        stages=tuple(planning.stages.values()),
        output=planning.output,
        started_at=planning.previous.started_at or _first_start(planning),
        retry_token=planning.retry_token,
        active_seconds=planning.active_seconds,
    )


def _failure(planning: Planning) -> Verdict | None:
    """Why the job has failed, if it has. What was said before stays."""
    if planning.is_terminal(ConditionType.FAILED):
        before = planning.previous.condition(ConditionType.FAILED)
        assert before is not None
        return before.status, before.reason, before.message
    if planning.deadline_failure is not None:
        return "True", planning.deadline_failure.cause, failure_message(planning.deadline_failure)
    failed = next((entry for entry in planning.stages.values() if entry.state is StageState.FAILED), None)
    if failed is None:
        return None
    return "True", str(failed.cause or JOB_FAILED), f"{failed.name}: {failed.message}"


def _stage_verdict(entry: StageStatus) -> Verdict:
    if entry.state is StageState.SUCCEEDED:
        return "True", COMPLETED, entry.message
    if entry.state is StageState.FAILED:
        return "False", str(entry.cause or JOB_FAILED), entry.message
    # Progress is not a condition: only waiting after a failure has something to explain.
    message = entry.message if entry.state is StageState.WAITING else ""
    return "Unknown", _REASONS[entry.state], message


def _waiting_verdict(planning: Planning, waiting: tuple[str, str]) -> Verdict:
    is_validated = planning.stages[StageName.PREPARE].state is StageState.SUCCEEDED
    return "True" if is_validated else "Unknown", *waiting


def _terminal_verdicts(planning: Planning, failure: Verdict | None, *, succeeded: bool) -> dict[ConditionType, Verdict]:
    if failure is not None:
        return {ConditionType.FAILED: failure}
    if succeeded and planning.output is not None:
        return {ConditionType.SUCCEEDED: ("True", JOB_SUCCEEDED, f"Published {planning.output.uri}.")}
    return {}


def _suspension_verdict(planning: Planning) -> dict[ConditionType, Verdict]:
    if planning.job.spec.run_policy.suspend:
        return {ConditionType.SUSPENDED: ("True", SUSPENDED, SUSPENDED_MESSAGE)}
    if planning.previous.condition(ConditionType.SUSPENDED) is not None:
        return {ConditionType.SUSPENDED: ("False", RESUMED, RESUMED_MESSAGE)}
    return {}


def _queue_verdict(planning: Planning) -> dict[ConditionType, Verdict]:
    """Only for jobs that were ever seen waiting in a queue."""
    running = [attempt for stage in StageName if (attempt := planning.running(stage)) is not None]
    waiting = [attempt for attempt in running if attempt.admitted_at is None and not attempt.stopping]
    if waiting:
        reasons = {attempt.stage: attempt.queue_reason for attempt in waiting if attempt.queue_reason is not None}
        reason = next((why.reason for why in reasons.values() if why.reason), QUEUED)
        told = [f"{stage}: {why.message}" for stage, why in reasons.items() if why.message]
        return {ConditionType.QUEUED: ("True", reason, "\n".join([QUEUED_MESSAGE, *told]))}
    if planning.previous.condition(ConditionType.QUEUED) is not None:
        return {ConditionType.QUEUED: ("False", ADMITTED, ADMITTED_MESSAGE)}
    return {}


def _kstatus_verdicts(planning: Planning, failure: Verdict | None, *, succeeded: bool) -> dict[ConditionType, Verdict]:
    """Reconciling until what should exist does, as with a Job; Stalled once nothing will change any more."""
    is_waiting = any(entry.state is StageState.WAITING for entry in planning.stages.values())
    is_running = any(entry.state is StageState.RUNNING for entry in planning.stages.values())
    settled = failure is not None or succeeded or is_running or planning.job.spec.run_policy.suspend
    reconciling = ("False", COMPLETED, CHILDREN_CURRENT_MESSAGE)
    if is_waiting or not settled:
        reconciling = ("True", PROGRESSING, CHILDREN_PENDING_MESSAGE)
    stalled = ("False", PROGRESSING, "") if failure is None else ("True", failure[1], failure[2])
    return {ConditionType.RECONCILING: reconciling, ConditionType.STALLED: stalled}


def _phase(planning: Planning, failure: Verdict | None, *, succeeded: bool) -> Phase:
    states = {name: entry.state for name, entry in planning.stages.items()}
    if failure is not None:
        return Phase.FAILED
    if succeeded:
        return Phase.SUCCEEDED
    if planning.job.spec.run_policy.suspend:
        return Phase.SUSPENDED
    if states[StageName.PREPARE] is not StageState.SUCCEEDED:
        return Phase.PENDING if states[StageName.PREPARE] is StageState.PENDING else Phase.VALIDATING
    return Phase.MERGING if all(states[arm] is StageState.SUCCEEDED for arm in ARMS) else Phase.TRAINING


def _condition(planning: Planning, type_: ConditionType, verdict: Verdict) -> Condition:
    status, reason, message = verdict
    before = planning.previous.condition(type_)
    unchanged = before is not None and before.status == status
    return Condition.model_validate(
        {
            "type": type_,
            "status": status,
            "reason": reason,
            "message": message[:4096],
            "last_transition_time": before.last_transition_time if unchanged and before is not None else planning.now,
            "observed_generation": planning.generation,
        }
    )


def _longest(etas: list[str | None]) -> str | None:
    known = [eta for eta in etas if eta is not None]
    return max(known, key=_seconds) if known else None


def _seconds(eta: str) -> int:
    units = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
    total, number = 0, ""
    for character in eta:
        if character.isdigit():
            number += character
        else:
            total, number = total + int(number) * units[character], ""
    return total


def _first_start(planning: Planning) -> datetime | None:
    decided = [entry.started_at for entry in planning.stages.values() if entry.started_at is not None]
    return min((*decided, *(attempt.started_at for attempt in planning.observed.attempts)), default=None)

"""runPolicy's deadlines: how long attempts may run in all, and how long pods may take until all of them run."""

from collections.abc import Iterable
from datetime import datetime

from paft_api.causes import CAUSE_FACTS, Cause
from paft_api.report import Failure
from paft_operator.planner.observation import AttemptObservation, AttemptState
from paft_operator.planner.own_reports import ended_at
from paft_operator.planner.planning import Planning

LONGEST_REASON = 1500
"""Characters of what pods say that goes into a failure."""


def apply_deadlines(planning: Planning) -> None:
    """Past a deadline nothing starts and the job fails; neither goes on while suspended or queued."""
    _apply_active_deadline(planning)
    _apply_pending_deadline(planning)
    if planning.deadline_failure is not None:
        planning.may_start = False


def _apply_active_deadline(planning: Planning) -> None:
    """Count the seconds in which all processes of any attempt ran.

    `planning.active_seconds` starts as status has it, so that attempts count which nobody remembers any more.
    """
    counted = [attempt for attempt in planning.observed.attempts if planning.counts(attempt)]
    ended = (attempt for attempt in counted if attempt.state is not AttemptState.RUNNING)
    planning.active_seconds = max(planning.active_seconds, _active_seconds(planning, ended))
    deadline = planning.job.spec.run_policy.active_deadline_seconds
    if deadline is None:
        return
    left = deadline - max(planning.active_seconds, _active_seconds(planning, counted))
    if left <= 0:
        planning.deadline_failure = Failure(
            cause=Cause.DEADLINE_EXCEEDED,
            message=f"Attempts ran for more than {deadline} s.",
            remedy=CAUSE_FACTS[Cause.DEADLINE_EXCEEDED].remedy,
        )
    elif any(attempt.state is AttemptState.RUNNING and attempt.running_since is not None for attempt in counted):
        planning.wake_up_in(left)


def _apply_pending_deadline(planning: Planning) -> None:
    """From admission until all pods of an attempt run."""
    deadline = planning.job.spec.run_policy.pending_deadline_seconds
    if deadline is None:
        return
    for attempt in planning.observed.attempts:
        is_pending = attempt.state is AttemptState.RUNNING and attempt.running_since is None and not attempt.stopping
        if not is_pending or attempt.admitted_at is None:
            continue
        left = deadline - (planning.now - attempt.admitted_at).total_seconds()
        if left > 0:
            planning.wake_up_in(left)
        elif planning.deadline_failure is None:
            planning.deadline_failure = _pending_failure(attempt, deadline)


def _pending_failure(attempt: AttemptObservation, deadline: int) -> Failure:
    cause = attempt.pending.cause if attempt.pending is not None else Cause.UNSCHEDULABLE
    message = f"{attempt.stage} attempt {attempt.attempt}: not all of its pods ran within {deadline} s."
    if attempt.pending is not None:
        message = f"{message} {attempt.pending.message[:LONGEST_REASON]}"
    remedy = attempt.pending.remedy if attempt.pending is not None else CAUSE_FACTS[cause].remedy
    return Failure(cause=cause, message=message, remedy=remedy)


def _active_seconds(planning: Planning, attempts: Iterable[AttemptObservation]) -> float:
    """An attempt that is kept from an earlier generation counts from the start of this one's first."""
    begin = min(
        (one.started_at for one in planning.observed.attempts if one.generation == planning.generation), default=None
    )
    if begin is None:
        return 0.0
    return _union_seconds(
        sorted(
            (max(attempt.running_since, begin), _end(attempt, planning.now))
            for attempt in attempts
            if attempt.running_since is not None
        )
    )


def _end(attempt: AttemptObservation, now: datetime) -> datetime:
    return now if attempt.state is AttemptState.RUNNING else ended_at(attempt)


def _union_seconds(intervals: list[tuple[datetime, datetime]]) -> float:
    total = 0.0
    end: datetime | None = None
    for start, stop in intervals:
        begin = start if end is None else max(start, end)
        if stop > begin:
            total += (stop - begin).total_seconds()
        end = stop if end is None else max(end, stop)
    return total

"""runPolicy.activeDeadlineSeconds: how long attempts may run in all under one generation of the spec."""

from collections.abc import Iterable
from datetime import datetime

from paft_api.stages import StageName
from paft_operator.planner.observation import AttemptObservation, AttemptState
from paft_operator.planner.own_reports import ended_at
from paft_operator.planner.planning import Planning


def apply_deadline(planning: Planning) -> None:
    """Count the seconds in which any attempt ran; past the deadline nothing starts and the job fails.

    `planning.active_seconds` starts as status has it, so that attempts count which nobody remembers any more.
    """
    ended = (attempt for attempt in planning.observed.attempts if attempt.state is not AttemptState.RUNNING)
    planning.active_seconds = max(planning.active_seconds, _active_seconds(planning, ended))
    deadline = planning.job.spec.run_policy.active_deadline_seconds
    if deadline is None:
        return
    left = deadline - max(planning.active_seconds, _active_seconds(planning, planning.observed.attempts))
    if left <= 0:
        planning.deadline_exceeded = True
        planning.may_start = False
    elif any(planning.running(stage) is not None for stage in StageName):
        planning.wake_up_in(left)


def _active_seconds(planning: Planning, attempts: Iterable[AttemptObservation]) -> float:
    """An attempt that is kept from an earlier generation counts from the start of this one's first."""
    begin = min(
        (one.started_at for one in planning.observed.attempts if one.generation == planning.generation), default=None
    )
    if begin is None:
        return 0.0
    return _union_seconds(sorted((max(attempt.started_at, begin), _end(attempt, planning.now)) for attempt in attempts))


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

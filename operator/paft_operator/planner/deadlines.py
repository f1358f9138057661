"""runPolicy.activeDeadlineSeconds: how long attempts of this generation may have been running in all."""

from datetime import datetime

from paft_operator.planner.planning import Planning


def apply_deadline(planning: Planning) -> None:
    """Count the seconds in which any attempt ran; past the deadline nothing starts and the job fails."""
    planning.active_seconds = _union_seconds(
        sorted(
            (attempt.started_at, attempt.finished_at or planning.now)
            for attempt in planning.observed.attempts
            if attempt.generation == planning.generation
        )
    )
    deadline = planning.job.spec.run_policy.active_deadline_seconds
    if deadline is None:
        return
    left = deadline - planning.active_seconds
    if left <= 0:
        planning.deadline_exceeded = True
        planning.may_start = False
    else:
        planning.wake_up_in(left)


def _union_seconds(intervals: list[tuple[datetime, datetime]]) -> float:
    total = 0.0
    end: datetime | None = None
    for start, stop in intervals:
        begin = start if end is None else max(start, end)
        if stop > begin:
            total += (stop - begin).total_seconds()
        end = stop if end is None else max(end, stop)
    return total

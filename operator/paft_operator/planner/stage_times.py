"""Goodput: where the seconds of each stage went, from when it could begin to its end, all attempts and pauses included.

What an attempt's processes did, its report tells. What came before them and after their last word, instants tell that
were observed. Only instants that lie in the past are counted up to, so that a status does not change as time goes by.
"""

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta

from paft_api.report import ReportState, StageReport
from paft_api.stage_time import StageTime, TimePart
from paft_api.stages import ARMS, StageName
from paft_api.status import StageState, StageStatus
from paft_operator.planner.observation import AttemptObservation, AttemptState
from paft_operator.planner.own_reports import ended_at
from paft_operator.planner.planning import Planning

_ENDED = (StageState.SUCCEEDED, StageState.FAILED)


def account_for_time(planning: Planning) -> None:
    """Bring the times of all stages up to date; those of stages whose end was told stay."""
    for stage in StageName:
        before, entry = planning.previous.stage(stage), planning.stages[stage]
        if entry.state in _ENDED and entry.state is before.state and entry.time == before.time:
            continue
        ended = entry.ended_time or _begun(planning, stage)
        if ended is not None:
            _account(planning, stage, ended)


def _account(planning: Planning, stage: StageName, ended: StageTime) -> None:
    entry = planning.stages[stage]
    time = ended
    for attempt in planning.attempts(stage):
        if attempt.attempt <= ended.attempt:
            continue
        if attempt.state is AttemptState.RUNNING and entry.state not in _ENDED:
            time = _with(ended, attempt, _last_word(attempt))
            break
        time = ended = _with(ended, attempt, _end(attempt, entry))
    if entry.finished_at is not None and entry.state in _ENDED:
        # Another job may have finished the work between two attempts.
        time = ended = ended.plus({}, until=entry.finished_at, attempt=ended.attempt)
    planning.update(stage, time=time, ended_time=ended, goodput=time.goodput)


def _with(ended: StageTime, attempt: AttemptObservation, until: datetime) -> StageTime:
    return ended.plus(spent(attempt, ended.until, until), until=until, attempt=attempt.attempt)


def _end(attempt: AttemptObservation, entry: StageStatus) -> datetime:
    """That of an attempt, or of its stage where that did not wait for it."""
    if attempt.state is not AttemptState.RUNNING:
        return ended_at(attempt)
    assert entry.finished_at is not None
    return entry.finished_at


def _begun(planning: Planning, stage: StageName) -> StageTime | None:
    """Of a stage that can begin now, or has begun; None before that, and for work found finished."""
    entry = planning.stages[stage]
    earlier = [one.attempt for one in planning.attempts(stage) if not _is_of_this_round(planning, one)]
    counted = max((*earlier, entry.forgiven_attempt))
    own = [one.started_at for one in planning.attempts(stage) if one.attempt > counted]
    if not own and (entry.state in _ENDED or not _can_begin(planning, entry)):
        return None
    since = min((planning.now, *own))
    return StageTime(since=since, until=since, attempt=counted)


def _is_of_this_round(planning: Planning, attempt: AttemptObservation) -> bool:
    return attempt.generation == planning.generation and planning.counts(attempt)


def _can_begin(planning: Planning, entry: StageStatus) -> bool:
    needs = {StageName.PREPARE: (), StageName.MERGE: ARMS}.get(entry.name, (StageName.PREPARE,))
    return all(planning.stages[one].state is StageState.SUCCEEDED for one in needs)


def spent(attempt: AttemptObservation, begin: datetime, end: datetime) -> Mapping[TimePart, float]:
    """Seconds by part between two instants, the second of which is the attempt's end or its last word."""
    line = _TimeLine(begin, end)
    report = attempt.report
    told_from = _report_begin(report) if report is not None else None
    containers = min((one for one in (attempt.running_since, told_from) if one is not None), default=end)
    if attempt.scheduled_at is not None:
        line.spend(TimePart.QUEUE, attempt.scheduled_at)
        line.spend(TimePart.IMAGE, containers)
    else:
        line.spend(TimePart.QUEUE, containers)
    if report is None or told_from is None:
        line.spend(TimePart.LOAD, end)
        return line.seconds
    line.spend(TimePart.LOAD, told_from)
    if report.time is not None:
        line.share(report.time.parts, report.updated_at)
    line.spend(_part_after(attempt, report), end)
    return line.seconds


class _TimeLine:
    """Hands out the seconds between two instants from the first to the last, each once."""

    def __init__(self, begin: datetime, end: datetime) -> None:
        self.seconds: defaultdict[TimePart, float] = defaultdict(float)
        self._at = begin
        self._end = end

    def spend(self, part: TimePart, until: datetime) -> None:
        """To one part, up to an instant."""
        self.share({part: 1.0}, until)

    def share(self, weights: Mapping[TimePart, float], until: datetime) -> None:
        """To several parts in proportion: clocks of several machines differ a little."""
        until = min(max(until, self._at), self._end)
        total = sum(weights.values())
        for part, weight in weights.items() if total > 0 else ():
            self.seconds[part] += (until - self._at).total_seconds() * weight / total
        self._at = until if total > 0 else self._at


def _last_word(attempt: AttemptObservation) -> datetime:
    """The latest instant of which a running attempt's observation tells something."""
    told = attempt.report.updated_at if attempt.report is not None else None
    known = (attempt.started_at, attempt.admitted_at, attempt.scheduled_at, attempt.running_since, told)
    return max(one for one in known if one is not None)


def _report_begin(report: StageReport) -> datetime:
    return report.updated_at - timedelta(seconds=report.time.total if report.time is not None else 0.0)


def _part_after(attempt: AttemptObservation, report: StageReport) -> TimePart:
    """What the seconds from the last report to the attempt's end are counted as."""
    if attempt.state is AttemptState.RUNNING or report.state is not ReportState.RUNNING:
        # The end of its processes, and of their pods.
        return TimePart.SAVE
    part = report.progress.activity.part
    return TimePart.REDO if part is TimePart.TRAIN else part

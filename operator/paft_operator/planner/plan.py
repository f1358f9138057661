"""What should happen next to a PaftJob: a pure and total function, the one place where its life cycle is decided."""

from datetime import datetime

from paft_api.spec import PaftJob
from paft_api.stages import ARMS, StageName
from paft_api.status import ConditionType, PaftJobStatus, StageState
from paft_operator.planner.actions import Plan
from paft_operator.planner.arms import plan_arms
from paft_operator.planner.conclusion import conclude
from paft_operator.planner.deadlines import apply_deadlines
from paft_operator.planner.events import transition_events
from paft_operator.planner.expiry import apply_expiry
from paft_operator.planner.generations import stages_at_start
from paft_operator.planner.merging import plan_merge
from paft_operator.planner.observation import Observed
from paft_operator.planner.outputs import wait_for_output
from paft_operator.planner.own_reports import with_own_reports
from paft_operator.planner.planning import Planning
from paft_operator.planner.preparation import plan_prepare
from paft_operator.planner.retrying import take_retry
from paft_operator.planner.stage_attempts import follow_running
from paft_operator.planner.stage_times import account_for_time
from paft_operator.planner.stopping import stop_everything, suspend

FIRST_RETRY_SECONDS = 10.0
"""Pause before the second attempt, as of a Kubernetes Job; it doubles up to six minutes."""


def plan(
    job: PaftJob,
    observed: Observed,
    now: datetime,
    *,
    first_retry_seconds: float = FIRST_RETRY_SECONDS,
    may_start: bool = True,
) -> Plan:
    """Actions, status and events that follow from spec, previous status, attempts and clock.

    `may_start`: false where nothing can be started, to learn what is so then.
    """
    previous = job.status if job.status is not None else PaftJobStatus()
    planning = Planning(
        job=job,
        previous=previous,
        observed=with_own_reports(job, observed),
        now=now,
        first_retry_seconds=first_retry_seconds,
        stages=stages_at_start(job, previous),
        base=previous.base,
        retry_token=previous.retry_token,
        may_start=may_start,
    )
    if not planning.is_new_generation:
        planning.output, planning.active_seconds = previous.output, previous.active_seconds
    take_retry(planning)
    if planning.is_terminal(ConditionType.FAILED):
        stop_everything(planning)
        apply_expiry(planning)
    elif planning.is_terminal(ConditionType.SUCCEEDED):
        apply_expiry(planning)
    else:
        apply_deadlines(planning)
        wait_for_output(planning)
        suspend(planning)
        _plan_stages(planning)
    account_for_time(planning)
    status = conclude(planning)
    return Plan(
        status=status,
        actions=tuple(planning.actions),
        events=transition_events(previous, status, judged=planning.judged),
        requeue_after=_seconds_until_first(planning),
    )


def _plan_stages(planning: Planning) -> None:
    before = dict(planning.stages)
    _advance(planning)
    if _any_failed(planning):
        # What the other stages decided in this pass does not begin: decide again without starting anything.
        planning.stages = before
        planning.may_start = False
        _advance(planning)
    if planning.deadline_failure is not None or _any_failed(planning):
        stop_everything(planning)


def _advance(planning: Planning) -> None:
    plan_prepare(planning)
    if planning.stages[StageName.PREPARE].state is StageState.SUCCEEDED:
        plan_arms(planning)
        plan_merge(planning)
    else:
        for stage in (*ARMS, StageName.MERGE):
            follow_running(planning, stage)


def _any_failed(planning: Planning) -> bool:
    return any(entry.state is StageState.FAILED for entry in planning.stages.values())


def _seconds_until_first(planning: Planning) -> float | None:
    if not planning.wake_ups:
        return None
    return max(0.0, (min(planning.wake_ups) - planning.now).total_seconds())

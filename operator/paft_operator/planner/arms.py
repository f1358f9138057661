"""Both arms: each on its own, or, where a queue has to admit both at once, started together."""

from paft_api.conditions import WAITS_FOR_OTHER_ARM
from paft_api.stages import ARMS, StageName
from paft_api.status import StageState
from paft_operator.planner.actions import StartAttempt
from paft_operator.planner.planning import Planning
from paft_operator.planner.stage_attempts import plan_stage


def plan_arms(planning: Planning) -> None:
    """Bring both arms forward."""
    before, actions = dict(planning.stages), list(planning.actions)
    _plan_each(planning)
    if not planning.observed.arms_start_together or not _is_split(planning):
        return
    # One would start without the other: decide again without starting either.
    planning.stages, planning.actions = before, actions
    may_start, planning.may_start = planning.may_start, False
    _plan_each(planning)
    planning.may_start = may_start
    for arm in ARMS:
        entry = planning.stages[arm]
        if entry.state in (StageState.PENDING, StageState.STOPPED):
            planning.update(arm, message=WAITS_FOR_OTHER_ARM)
        if entry.retry_at is not None and entry.retry_at > planning.now:
            planning.wake_up_in((entry.retry_at - planning.now).total_seconds())


def _plan_each(planning: Planning) -> None:
    for arm in ARMS:
        plan_stage(planning, arm, planning.stages[arm].digest)


def _is_split(planning: Planning) -> bool:
    """Whether some of the arms that have not finished start now, and others do not."""
    starting: set[StageName] = {action.stage for action in planning.actions if isinstance(action, StartAttempt)}
    unfinished = {arm for arm in ARMS if planning.stages[arm].state is not StageState.SUCCEEDED}
    return bool(starting & unfinished) and not unfinished <= starting

"""Both arms: each on its own; started together, where a queue has to admit both at once; or one after the other, where
they need the same devices."""

from paft_api.conditions import WAITS_FOR_DEVICES, WAITS_FOR_OTHER_ARM
from paft_api.stages import ARMS, StageName
from paft_api.status import StageState
from paft_operator.planner.actions import StartAttempt
from paft_operator.planner.planning import Planning
from paft_operator.planner.stage_attempts import plan_stage
from paft_operator.worlds import take_turns


def plan_arms(planning: Planning) -> None:
    """Bring both arms forward."""
    if take_turns(planning.observed.worlds):
        _plan_in_turn(planning)
        return
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


def _plan_in_turn(planning: Planning) -> None:
    """One arm at a time has processes: the one that runs, else the first that can start."""
    running = [arm for arm in ARMS if planning.running(arm) is not None]
    for arm in [*running, *(arm for arm in ARMS if arm not in running)]:
        is_free = all(other is arm or not _has_processes(planning, other) for other in ARMS)
        may_start, planning.may_start = planning.may_start, planning.may_start and is_free
        plan_stage(planning, arm, planning.stages[arm].digest)
        planning.may_start = may_start
        if not is_free and planning.stages[arm].state in (StageState.PENDING, StageState.STOPPED):
            planning.update(arm, message=WAITS_FOR_DEVICES)


def _has_processes(planning: Planning, arm: StageName) -> bool:
    """Whether an attempt at this arm runs, or starts now."""
    starts = any(isinstance(action, StartAttempt) and action.stage is arm for action in planning.actions)
    return starts or planning.running(arm) is not None


def _plan_each(planning: Planning) -> None:
    for arm in ARMS:
        plan_stage(planning, arm, planning.stages[arm].digest)


def _is_split(planning: Planning) -> bool:
    """Whether some of the arms that have not finished start now, and others do not."""
    starting: set[StageName] = {action.stage for action in planning.actions if isinstance(action, StartAttempt)}
    unfinished = {arm for arm in ARMS if planning.stages[arm].state is not StageState.SUCCEEDED}
    return bool(starting & unfinished) and not unfinished <= starting

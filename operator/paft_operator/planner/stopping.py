"""Suspension and the end of a failed job: running attempts are asked to save and stop, nothing new begins."""

from paft_api.conditions import OTHER_STAGE_FAILED, SUSPENDED_MESSAGE
from paft_api.stages import StageName
from paft_api.status import StageState
from paft_operator.planner.planning import Planning
from paft_operator.planner.stage_attempts import follow_running


def suspend(planning: Planning) -> None:
    """With runPolicy.suspend: stop what runs and start nothing."""
    if not planning.job.spec.run_policy.suspend:
        return
    planning.may_start = False
    for stage in StageName:
        running = planning.running(stage)
        if running is not None:
            planning.stop(running, SUSPENDED_MESSAGE)


def stop_everything(planning: Planning) -> None:
    """The job has failed: nothing that was just decided begins, and what runs saves and stops."""
    planning.actions.clear()
    for stage in StageName:
        planning.stop_revived(stage)
        running = planning.running(stage)
        if running is not None:
            follow_running(planning, stage)
            planning.stop(running, OTHER_STAGE_FAILED)
        elif planning.stages[stage].state in (StageState.RUNNING, StageState.WAITING):
            planning.update(stage, state=StageState.STOPPED, retry_at=None)

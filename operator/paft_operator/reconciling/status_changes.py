"""What kind of difference there is between two statuses: progress may wait a moment, a transition may not."""

from enum import Enum

from paft_api.status import PaftJobStatus, StageState, StageStatus


class Change(Enum):
    """Between what status says and what it should say."""

    NONE = "none"
    PROGRESS = "progress"
    TRANSITION = "transition"


def change_between(before: PaftJobStatus | None, after: PaftJobStatus) -> Change:
    """The kind of difference. That time goes by, or is accounted for, is none."""
    if before is None:
        return Change.TRANSITION
    if _without_times(before) == _without_times(after):
        return Change.NONE
    return Change.PROGRESS if _without_progress(before) == _without_progress(after) else Change.TRANSITION


def _without_times(status: PaftJobStatus) -> PaftJobStatus:
    none = dict.fromkeys(("time", "ended_time", "goodput"))
    stages = tuple(stage.model_copy(update=none) for stage in status.stages)
    return status.model_copy(update={"active_seconds": 0.0, "stages": stages})


def _without_progress(status: PaftJobStatus) -> PaftJobStatus:
    status = _without_times(status)
    stages = tuple(_stage_without_progress(stage) for stage in status.stages)
    return status.model_copy(update={"eta": None, "started_at": None, "stages": stages})


def _stage_without_progress(stage: StageStatus) -> StageStatus:
    fields: dict[str, object] = dict.fromkeys(
        ("step", "total_steps", "progress", "loss", "sparsity", "reward_margin", "tokens_per_second", "eta")
    )
    if stage.state is StageState.RUNNING:
        fields |= {"message": "", "started_at": None}
    return stage.model_copy(update=fields)

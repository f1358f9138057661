"""runPolicy.ttlSecondsAfterFinished: a finished job's children go, the job stays (GitOps would create it again)."""

from paft_api.stages import StageName
from paft_api.status import ConditionType
from paft_operator.planner.actions import DeleteChildren
from paft_operator.planner.planning import Planning


def apply_expiry(planning: Planning) -> None:
    """Delete the children of a job that ended long enough ago; what still stops saves first."""
    ttl = planning.job.spec.run_policy.ttl_seconds_after_finished
    ends = (planning.previous.condition(type_) for type_ in (ConditionType.SUCCEEDED, ConditionType.FAILED))
    ended_at = next((end.last_transition_time for end in ends if end is not None and end.status == "True"), None)
    is_stopping = any(planning.running(stage) is not None for stage in StageName)
    if ttl is None or ended_at is None or is_stopping or not planning.observed.has_children:
        return
    left = ttl - (planning.now - ended_at).total_seconds()
    if left > 0:
        planning.wake_up_in(left)
    else:
        planning.actions.append(DeleteChildren())

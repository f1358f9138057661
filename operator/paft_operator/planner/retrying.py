"""A retry that was asked for: what has failed begins anew, once per token; finished stages stay."""

from paft_api.stages import StageName
from paft_api.status import MAXIMUM_RETRY_TOKEN, ConditionType, StageState, StageStatus
from paft_operator.planner.planning import Planning


def take_retry(planning: Planning) -> None:
    """Take note of a new token; where the job has failed, go on as if the failed attempts had not been."""
    wish = planning.observed.retry_token
    token = wish[:MAXIMUM_RETRY_TOKEN] if wish is not None else None
    if token is None or token == planning.retry_token:
        return
    planning.retry_token = token
    if not planning.is_terminal(ConditionType.FAILED):
        return
    planning.is_retried = True
    planning.active_seconds = 0.0
    for stage in StageName:
        planning.stages[stage] = _forgiven(planning, planning.stages[stage])


def _forgiven(planning: Planning, entry: StageStatus) -> StageStatus:
    newest = max(entry.attempt, planning.newest_number(entry.name))
    if entry.state is StageState.SUCCEEDED:
        return entry.model_copy(update={"forgiven_attempt": newest})
    return StageStatus(
        name=entry.name,
        digest=entry.digest,
        total_steps=entry.total_steps,
        attempt=entry.attempt,
        forgiven_attempt=newest,
    )

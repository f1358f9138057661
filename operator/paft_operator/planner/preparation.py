"""The prepare stage, and what its result says of the others."""

from paft_api.conditions import FOUND_FINISHED_MESSAGE
from paft_api.report import ArmPreparation, FinishedArtifact, PrepareResult
from paft_api.stages import ARMS, StageName
from paft_api.status import BaseStatus, StageState, StageStatus
from paft_operator.planner.planning import Planning
from paft_operator.planner.stage_attempts import plan_stage, successful_attempt


def plan_prepare(planning: Planning) -> None:
    """Run prepare once for this generation; on its success take over digests and finished artifacts."""
    if planning.stages[StageName.PREPARE].state is StageState.SUCCEEDED:
        return
    plan_stage(planning, StageName.PREPARE, None)
    if planning.stages[StageName.PREPARE].state is not StageState.SUCCEEDED:
        return
    attempt = successful_attempt(planning, StageName.PREPARE, None)
    assert attempt is not None
    assert attempt.report is not None
    assert attempt.report.prepare is not None
    _take_over(planning, attempt.report.prepare)


def _take_over(planning: Planning, result: PrepareResult) -> None:
    planning.base = BaseStatus(digest=result.base_digest)
    for arm, prepared in zip(ARMS, (result.sft, result.preference), strict=True):
        _take_over_digest(planning, arm, prepared)
        if prepared.finished is not None:
            _take_over_artifact(planning, arm, prepared.finished, prepared.total_steps)


def _take_over_digest(planning: Planning, arm: StageName, prepared: ArmPreparation) -> None:
    entry = planning.stages[arm]
    if entry.digest != prepared.stage_digest:
        # Steps and losses of another digest say nothing of this one.
        planning.stages[arm] = StageStatus(
            name=arm, state=entry.state, attempt=entry.attempt, started_at=entry.started_at
        )
    planning.update(arm, digest=prepared.stage_digest, total_steps=prepared.total_steps)


def _take_over_artifact(planning: Planning, arm: StageName, artifact: FinishedArtifact, total_steps: int) -> None:
    planning.update(
        arm,
        state=StageState.SUCCEEDED,
        artifact_uri=artifact.uri,
        artifact_digest=artifact.digest,
        step=total_steps,
        progress=f"{total_steps}/{total_steps}",
        eta=None,
        finished_at=planning.now,
        message=FOUND_FINISHED_MESSAGE,
    )

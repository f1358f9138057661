"""The prepare stage, and what its result says of the others."""

from paft_api.report import ArmPreparation, PrepareResult
from paft_api.stages import ARMS, StageName
from paft_api.status import BaseStatus, StageState
from paft_operator.planner.planning import Planning
from paft_operator.planner.stage_attempts import plan_stage, successful_attempt


def plan_prepare(planning: Planning) -> None:
    """Run prepare once for this generation; on its success take over digests and finished artifacts."""
    if planning.stages[StageName.PREPARE].state is StageState.SUCCEEDED:
        return
    plan_stage(planning, StageName.PREPARE, None)
    attempt = successful_attempt(planning, StageName.PREPARE, None)
    if attempt is not None:
        assert attempt.report is not None
        assert attempt.report.prepare is not None
        _take_over(planning, attempt.report.prepare)


def _take_over(planning: Planning, result: PrepareResult) -> None:
    planning.base = BaseStatus(digest=result.base_digest)
    for arm, prepared in zip(ARMS, (result.sft, result.preference), strict=True):
        _take_over_arm(planning, arm, prepared)


def _take_over_arm(planning: Planning, arm: StageName, prepared: ArmPreparation) -> None:
    planning.update(arm, digest=prepared.stage_digest, total_steps=prepared.total_steps)
    if prepared.finished is not None:
        planning.update(
            arm,
            state=StageState.SUCCEEDED,
            artifact_uri=prepared.finished.uri,
            artifact_digest=prepared.finished.digest,
            step=prepared.total_steps,
            progress=f"{prepared.total_steps}/{prepared.total_steps}",
            finished_at=planning.now,
            message="found finished: the same work was done before",
        )

"""The merge: after both arms, for exactly their adapters."""

from paft_api.digests import recipe_digest
from paft_api.stages import ARMS, StageName
from paft_api.status import OutputStatus, StageState
from paft_operator.planner.planning import Planning
from paft_operator.planner.stage_attempts import follow_running, plan_stage, successful_attempt


def plan_merge(planning: Planning) -> None:
    """Plan the merge once both adapters are there; on its success take over the output."""
    sft, preference = (planning.stages[arm] for arm in ARMS)
    if StageState.SUCCEEDED is not sft.state or StageState.SUCCEEDED is not preference.state:
        follow_running(planning, StageName.MERGE)
        return
    assert planning.base is not None
    assert sft.artifact_digest is not None
    assert preference.artifact_digest is not None
    spec = planning.job.spec.merge
    digest = recipe_digest(
        spec,
        base_digest=planning.base.digest,
        sft_adapter=sft.artifact_digest,
        preference_adapter=preference.artifact_digest,
        chat_template=planning.job.spec.base.chat_template,
    )
    planning.update(StageName.MERGE, digest=digest)
    plan_stage(planning, StageName.MERGE, digest)
    attempt = successful_attempt(planning, StageName.MERGE, digest)
    if attempt is not None:
        assert attempt.report is not None
        assert attempt.report.merge is not None
        result = attempt.report.merge
        planning.output = OutputStatus(
            uri=result.artifact.uri, digest=result.artifact.digest, method=result.method, bytes=result.bytes
        )

"""The merge: after both arms, for exactly their adapters."""

from paft_api.conditions import ADAPTERS_CHANGED
from paft_api.digests import merge_stage_digest
from paft_api.stages import ARMS, StageName
from paft_api.status import StageState
from paft_operator.planner.planning import Planning
from paft_operator.planner.stage_attempts import follow_running, plan_stage


def plan_merge(planning: Planning) -> None:
    """Plan the merge once both adapters are there; one that runs before that merges others, and is stopped."""
    sft, preference = (planning.stages[arm] for arm in ARMS)
    if StageState.SUCCEEDED is not sft.state or StageState.SUCCEEDED is not preference.state:
        follow_running(planning, StageName.MERGE)
        running = planning.running(StageName.MERGE)
        if running is not None:
            planning.stop(running, ADAPTERS_CHANGED)
        return
    assert planning.base is not None
    assert sft.artifact_digest is not None
    assert preference.artifact_digest is not None
    digest = merge_stage_digest(
        planning.job.spec.merge,
        base_digest=planning.base.digest,
        sft_adapter=sft.artifact_digest,
        preference_adapter=preference.artifact_digest,
        chat_template=planning.job.spec.base.chat_template,
    )
    planning.update(StageName.MERGE, digest=digest)
    plan_stage(planning, StageName.MERGE, digest)

"""Jobs, attempts and reports to plan from, told in few words."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from paft_api.causes import CAUSE_FACTS, Cause
from paft_api.digests import merge_stage_digest
from paft_api.report import (
    Activity,
    AdapterResult,
    ArmPreparation,
    Failure,
    FinishedArtifact,
    MergeResult,
    PrepareResult,
    Progress,
    ReportState,
    StageReport,
)
from paft_api.run_spec import StageIdentity
from paft_api.spec import PaftJob
from paft_api.stages import ARMS, StageName
from paft_api.status import PaftJobStatus
from paft_operator.planner.actions import Action, DeleteChildren, Plan, StartAttempt, StopAttempt
from paft_operator.planner.observation import AttemptObservation, AttemptState, Observed
from paft_operator.planner.plan import plan

START = datetime(2026, 1, 1, tzinfo=UTC)
STEPS = 8
BASE_DIGEST = "sha256:" + "b" * 64
STAGE_DIGESTS = {StageName.SFT: "sha256:" + "1" * 64, StageName.PREFERENCE: "sha256:" + "2" * 64}
ADAPTERS = {
    arm: FinishedArtifact(uri=f"s3://paft/artifacts/{arm}/", digest="sha256:" + digit * 64)
    for arm, digit in zip(ARMS, "34", strict=True)
}
OUTPUT_URI = "s3://models/fused/"
MERGED = FinishedArtifact(uri=OUTPUT_URI, digest="sha256:" + "5" * 64)


def after(seconds: float) -> datetime:
    """An instant, in seconds from the beginning."""
    return START + timedelta(seconds=seconds)


def job(*, generation: int = 1, status: PaftJobStatus | None = None, **run_policy: Any) -> PaftJob:
    """A small job; keywords are fields of spec.runPolicy in its document's spelling."""
    document = {
        "apiVersion": "paft.dev/v1alpha1",
        "kind": "PaftJob",
        "metadata": {"name": "fused", "namespace": "team-a", "uid": "uid-1", "generation": generation},
        "spec": {
            "base": {"uri": "s3://models/base/"},
            "storage": {"artifactsUri": "s3://paft/artifacts/"},
            "sft": {"data": {"train": [{"uri": "s3://data/chats.jsonl", "format": "messages"}]}},
            "preference": {"data": {"train": [{"uri": "s3://data/pairs.jsonl", "format": "preference"}]}},
            "merge": {"output": {"uri": OUTPUT_URI}},
            "runPolicy": run_policy,
        },
    }
    return PaftJob.model_validate_json(json.dumps(document)).model_copy(update={"status": status})


def merge_digest() -> str:
    """Stage digest of the merge of ADAPTERS."""
    sft, preference = (ADAPTERS[arm].digest for arm in ARMS)
    return merge_stage_digest(job().spec.merge, base_digest=BASE_DIGEST, sft_adapter=sft, preference_adapter=preference)


def digest_for(stage: StageName) -> str | None:
    """What an attempt of a stage is started for."""
    return None if stage is StageName.PREPARE else STAGE_DIGESTS.get(stage, merge_digest())


def result_of(stage: StageName, *, finished: tuple[StageName, ...] = ()) -> dict[str, Any]:
    """The field of a StageReport with the stage's result. `finished`: arms that prepare found finished."""
    if stage is StageName.PREPARE:
        arms = {
            arm.value: ArmPreparation(
                data_digest="sha256:" + "d" * 64,
                stage_digest=STAGE_DIGESTS[arm],
                rows=64,
                total_steps=STEPS,
                finished=ADAPTERS[arm] if arm in finished else None,
            )
            for arm in ARMS
        }
        return {"prepare": PrepareResult(base_digest=BASE_DIGEST, **arms)}
    if stage is StageName.MERGE:
        merged = MergeResult(
            artifact=MERGED,
            recipe_digest=merge_digest(),
            method="ties",
            merged_tensors=2,
            copied_tensors=3,
            bytes=1000,
            seconds=1.0,
            peak_memory_bytes=1,
        )
        return {"merge": merged}
    return {"adapter": AdapterResult(artifact=ADAPTERS[stage], steps=STEPS)}


def report(
    stage: StageName,
    number: int = 1,
    *,
    state: ReportState = ReportState.RUNNING,
    at: float = 0.0,
    generation: int = 1,
    job_uid: str = "uid-1",
    progress: Progress | None = None,
    **fields: Any,
) -> StageReport:
    """An attempt's report. `at`: when it was written."""
    return StageReport(
        identity=StageIdentity(
            job_name="fused",
            job_namespace="team-a",
            job_uid=job_uid,
            generation=generation,
            stage=stage,
            attempt=number,
        ),
        state=state,
        updated_at=after(at),
        progress=progress if progress is not None else Progress(activity=Activity.TRAINING),
        **fields,
    )


def running(stage: StageName, number: int = 1, *, at: float = 0.0, **fields: Any) -> AttemptObservation:
    """An attempt that runs since `at`."""
    fields = {
        "generation": 1,
        "stage_digest": digest_for(stage),
        "admitted_at": after(at),
        "running_since": after(at),
    } | fields
    return AttemptObservation(stage=stage, attempt=number, state=AttemptState.RUNNING, started_at=after(at), **fields)


def succeeded(
    stage: StageName,
    number: int = 1,
    *,
    at: float = 0.0,
    generation: int = 1,
    finished: tuple[StageName, ...] = (),
    **fields: Any,
) -> AttemptObservation:
    """An attempt that ended `at` with its result."""
    fields = {"stage_digest": digest_for(stage)} | fields
    return AttemptObservation(
        stage=stage,
        attempt=number,
        generation=generation,
        state=AttemptState.SUCCEEDED,
        started_at=after(at - 1),
        admitted_at=after(at - 1),
        running_since=after(at - 1),
        finished_at=after(at),
        report=report(
            stage,
            number,
            state=ReportState.SUCCEEDED,
            at=at,
            generation=generation,
            **result_of(stage, finished=finished),
        ),
        **fields,
    )


def failed(
    stage: StageName,
    number: int = 1,
    *,
    cause: Cause = Cause.HOST_OOM,
    at: float = 0.0,
    generation: int = 1,
    checkpoint: int | None = None,
    **fields: Any,
) -> AttemptObservation:
    """An attempt that failed `at`. `checkpoint`: the step of its newest one."""
    fields = {"stage_digest": digest_for(stage)} | fields
    return AttemptObservation(
        stage=stage,
        attempt=number,
        generation=generation,
        state=AttemptState.FAILED,
        started_at=after(at - 1),
        admitted_at=after(at - 1),
        running_since=after(at - 1),
        finished_at=after(at),
        report=report(
            stage,
            number,
            state=ReportState.FAILED,
            at=at,
            generation=generation,
            progress=Progress(activity=Activity.TRAINING, checkpoint_step=checkpoint),
        ),
        failure=failure(cause),
        **fields,
    )


def stopped(stage: StageName, number: int = 1, *, at: float = 0.0, **fields: Any) -> AttemptObservation:
    """An attempt that was asked to stop, saved and ended `at`."""
    fields = {"generation": 1, "stage_digest": digest_for(stage)} | fields
    return AttemptObservation(
        stage=stage,
        attempt=number,
        state=AttemptState.STOPPED,
        started_at=after(at - 1),
        admitted_at=after(at - 1),
        running_since=after(at - 1),
        finished_at=after(at),
        **fields,
    )


def failure(cause: Cause, message: str = "It broke.") -> Failure:
    """A failure with its cause's remedy."""
    return Failure(cause=cause, message=message, remedy=CAUSE_FACTS[cause].remedy)


def planned(a_job: PaftJob, *attempts: AttemptObservation, at: float = 0.0, **observed: Any) -> Plan:
    """The plan for what was observed, `at` so many seconds from the beginning."""
    return plan(a_job, Observed(attempts=attempts, **observed), after(at))


def planned_in_turn(a_job: PaftJob, *observations: tuple[AttemptObservation, ...], at: float = 0.0) -> Plan:
    """The last of several plans, each from the status of the one before, a second apart."""
    for index, attempts in enumerate(observations):
        result = plan(a_job, Observed(attempts=attempts), after(at + index))
        a_job = a_job.model_copy(update={"status": result.status})
    return result


def in_short(result: Plan) -> list[str]:
    """Its actions as texts: `start sft 1`, `stop sft 1`, `delete children`."""
    return [_action_in_short(action) for action in result.actions]


def _action_in_short(action: Action) -> str:
    match action:
        case StartAttempt():
            return f"start {action.stage} {action.attempt}"
        case StopAttempt():
            return f"stop {action.stage} {action.attempt}"
        case DeleteChildren():
            return "delete children"


def conditions(result: Plan) -> dict[str, str]:
    """Its conditions as `status reason` by type."""
    return {condition.type.value: f"{condition.status} {condition.reason}" for condition in result.status.conditions}

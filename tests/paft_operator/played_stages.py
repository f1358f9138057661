"""Scripts for the kubelet stand-in: the trainer's part of each stage, by the real contract and without arithmetic."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

from kubernetes.client.exceptions import ApiException
from tests.played_pods import PlayedPod, PodTerminated, Script

from paft_api.causes import CAUSE_FACTS, EXIT_STOPPED, Cause
from paft_api.digests import digest_of
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
from paft_api.run_spec import RunSpec, TerminationMessage
from paft_api.stages import StageName

STEPS = 8


def stage(seconds: float = 0.0, *, steps: int = STEPS, save_seconds: float = 0.0) -> Script:
    """Report that it runs, work, report the result and exit with 0; on SIGTERM save, report and exit with 143."""

    def script(pod: PlayedPod) -> Iterator[float]:
        pod.schedule()
        pod.start()
        if pod.completion_index > 0:
            yield seconds
            pod.succeed()
            return
        run_spec = pod.run_spec
        try:
            for step in (steps // 2, steps):
                pod.write_report(report(run_spec, step=step))
                yield seconds / 2
        except PodTerminated:
            yield save_seconds
            # With the PaftJob its reports may be gone, and the right to write them.
            with suppress(ApiException):
                pod.write_report(report(run_spec, ReportState.STOPPED, step=steps // 2))
            pod.fail(EXIT_STOPPED)
            return
        pod.write_report(result(run_spec))
        pod.succeed()

    return script


def failing_stage(cause: Cause, *, step: int = 0, seconds: float = 0.0) -> Script:
    """Train up to a step, then fail as the launcher does: report, termination message, the cause's exit code."""

    def script(pod: PlayedPod) -> Iterator[float]:
        pod.schedule()
        pod.start()
        run_spec = pod.run_spec
        yield seconds
        failure = Failure(cause=cause, message="as scripted", remedy=CAUSE_FACTS[cause].remedy)
        pod.write_report(report(run_spec, ReportState.FAILED, step=step, failure=failure))
        code = CAUSE_FACTS[cause].exit_code
        told = TerminationMessage(cause=cause, message="as scripted", remedy=failure.remedy, exit_code=code)
        pod.fail(code, message=told.to_json())

    return script


def report(
    run_spec: RunSpec, state: ReportState = ReportState.RUNNING, *, step: int, failure: Failure | None = None
) -> StageReport:
    """Progress, and why it failed."""
    return StageReport(
        identity=run_spec.identity,
        state=state,
        updated_at=datetime.now(UTC),
        progress=Progress(
            activity=Activity.TRAINING, step=step, total_steps=STEPS, loss=1.5, checkpoint_step=step, eta_seconds=4.0
        ),
        failure=failure,
    )


def result(run_spec: RunSpec) -> StageReport:
    """What the stage has made."""
    told = report(run_spec, ReportState.SUCCEEDED, step=STEPS)
    match run_spec.identity.stage:
        case StageName.PREPARE:
            return told.model_copy(update={"prepare": _prepared(run_spec)})
        case StageName.MERGE:
            return told.model_copy(update={"merge": _merged(run_spec)})
        case _:
            return told.model_copy(update={"adapter": AdapterResult(artifact=_artifact(run_spec), steps=STEPS)})


def _prepared(run_spec: RunSpec) -> PrepareResult:
    def arm(stage_name: StageName) -> ArmPreparation:
        digest = digest_of([stage_name, run_spec.storage.artifacts_uri])
        return ArmPreparation(data_digest=digest_of(["data"]), stage_digest=digest, rows=64, total_steps=STEPS)

    return PrepareResult(
        base_digest=digest_of([run_spec.base.uri]), sft=arm(StageName.SFT), preference=arm(StageName.PREFERENCE)
    )


def _merged(run_spec: RunSpec) -> MergeResult:
    assert run_spec.merge is not None
    return MergeResult(
        artifact=FinishedArtifact(uri=run_spec.merge.spec.output.uri, digest=digest_of(["merged"])),
        recipe_digest=run_spec.stage_digest or digest_of([]),
        method=run_spec.merge.spec.method,
        merged_tensors=7,
        copied_tensors=2,
        bytes=1_000_000,
        seconds=1.0,
        peak_memory_bytes=1,
    )


def _artifact(run_spec: RunSpec) -> FinishedArtifact:
    assert run_spec.stage_digest is not None
    folder = run_spec.stage_digest.removeprefix("sha256:")
    uri = f"{run_spec.storage.artifacts_uri}{run_spec.identity.stage}/{folder}/"
    return FinishedArtifact(uri=uri, digest=digest_of([uri]))

"""From a decision to the RunSpec of one attempt."""

from dataclasses import dataclass

from paft_api.run_spec import (
    MergeRun,
    NodeCache,
    PreferenceRun,
    PrepareRun,
    ReportConfigMap,
    RunSpec,
    SecretFolder,
    SftRun,
    StageIdentity,
    World,
)
from paft_api.spec import PaftJob, TrackingSpec
from paft_api.stages import StageName
from paft_operator.planner.actions import StartAttempt


@dataclass(frozen=True, kw_only=True, slots=True)
class Placement:
    """Where an attempt runs. `world` is set for arms. Paths are absolute, on the machine or in the pod.

    `report_config_map`: set in a cluster. `base_cache`: None where the attempt uses none. `credentials_directory`: in a
    cluster, where each Secret has a folder; else credentials are those of this machine. So for those of trackers.
    """

    world: World | None
    report_path: str
    termination_path: str
    scratch_directory: str
    cache_directory: str
    stop_grace_seconds: int = 300
    report_config_map: ReportConfigMap | None = None
    base_cache: NodeCache | None = None
    credentials_directory: str | None = None
    tracker_credentials_directory: str | None = None


def run_spec(job: PaftJob, action: StartAttempt, placement: Placement) -> RunSpec:
    """All that the attempt needs, and nothing that another stage needs."""
    assert job.metadata.uid is not None
    spec = job.spec
    identity = StageIdentity(
        job_name=job.metadata.name,
        job_namespace=job.metadata.namespace,
        job_uid=job.metadata.uid,
        generation=job.metadata.generation,
        stage=action.stage,
        attempt=action.attempt,
    )
    block: PrepareRun | SftRun | PreferenceRun | MergeRun
    match action.stage:
        case StageName.PREPARE:
            block = PrepareRun(sft=spec.sft, preference=spec.preference, merge=spec.merge)
        case StageName.SFT:
            block = SftRun(spec=spec.sft, world=_world(placement))
        case StageName.PREFERENCE:
            block = PreferenceRun(spec=spec.preference, world=_world(placement))
        case StageName.MERGE:
            block = _merge_run(job, action)
    told = RunSpec.model_validate(
        {
            "identity": identity,
            "base": spec.base,
            "storage": spec.storage,
            "base_digest": action.base_digest,
            "stage_digest": action.stage_digest,
            "reached_step": action.reached_step,
            "report_path": placement.report_path,
            "report_config_map": placement.report_config_map,
            "termination_path": placement.termination_path,
            "scratch_directory": placement.scratch_directory,
            "cache_directory": placement.cache_directory,
            "base_cache": placement.base_cache,
            "stop_grace_seconds": placement.stop_grace_seconds,
            "tracking": spec.tracking if spec.tracking != TrackingSpec() else None,
            action.stage.value: block,
        }
    )
    trackers = () if told.tracking is None else told.tracking.secret_names
    return told.model_copy(
        update={
            "credentials": _folders(told.secret_names, placement.credentials_directory),
            "tracker_credentials": _folders(trackers, placement.tracker_credentials_directory),
        }
    )


def _folders(names: tuple[str, ...], directory: str | None) -> tuple[SecretFolder, ...]:
    if directory is None:
        return ()
    return tuple(SecretFolder(secret_name=name, directory=f"{directory}/{name}") for name in names)


def _world(placement: Placement) -> World:
    assert placement.world is not None
    return placement.world


def _merge_run(job: PaftJob, action: StartAttempt) -> MergeRun:
    assert action.sft_adapter is not None
    assert action.preference_adapter is not None
    return MergeRun(spec=job.spec.merge, sft=action.sft_adapter, preference=action.preference_adapter)

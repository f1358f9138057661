"""The ConfigMap with an attempt's RunSpec."""

from paft_api.labels import GENERATION, STAGE_DIGEST
from paft_api.run_spec import NodeCache, ReportConfigMap, RunSpec
from paft_api.spec import BaseCacheSpec, PaftJob
from paft_api.stage_pods import (
    API_ACCESS_DIRECTORY,
    CACHE_DIRECTORY,
    CREDENTIALS_DIRECTORY,
    NODE_CACHE_DIRECTORY,
    RUN_SPEC_FILE,
    SCRATCH_DIRECTORY,
    TERMINATION_LOG,
    TRACKER_CREDENTIALS_DIRECTORY,
)
from paft_api.stages import ARMS
from paft_operator.manifests.metadata import attempt_metadata
from paft_operator.manifests.names import attempt_name, report_name
from paft_operator.manifests.settings import Manifest
from paft_operator.manifests.stage_resources import arm_spec
from paft_operator.planner.actions import StartAttempt
from paft_operator.run_specs import Placement, run_spec
from paft_operator.worlds import cluster_world

SECONDS_TO_REPORT = 45
"""Part of the grace period that is left to the launcher after its ranks saved: it reports for 40 seconds at most."""


def run_spec_config_map(job: PaftJob, action: StartAttempt) -> Manifest:
    """Immutable: what an attempt was started for never changes. Annotations tell it to those who look at many."""
    name = attempt_name(job.metadata.name, action.stage, action.attempt)
    annotations = {GENERATION: str(job.metadata.generation)}
    if action.stage_digest is not None:
        annotations[STAGE_DIGEST] = action.stage_digest
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": attempt_metadata(job, action.stage, action.attempt, name) | {"annotations": annotations},
        "immutable": True,
        "data": {RUN_SPEC_FILE: _readable(pod_run_spec(job, action))},
    }


def pod_run_spec(job: PaftJob, action: StartAttempt) -> RunSpec:
    """What an attempt's pods are told."""
    return run_spec(job, action, pod_placement(job, action))


def pod_placement(job: PaftJob, action: StartAttempt) -> Placement:
    """Where an attempt runs in its pods."""
    return Placement(
        world=cluster_world(arm_spec(job, action.stage)) if action.stage in ARMS else None,
        report_path=f"{SCRATCH_DIRECTORY}/paft/report.json",
        report_config_map=ReportConfigMap(
            name=report_name(job.metadata.name, action.stage, action.attempt),
            access_directory=API_ACCESS_DIRECTORY,
        ),
        termination_path=TERMINATION_LOG,
        scratch_directory=f"{SCRATCH_DIRECTORY}/paft/scratch",
        cache_directory=CACHE_DIRECTORY,
        base_cache=_node_cache(job.spec.base.cache) if action.stage in ARMS else None,
        credentials_directory=CREDENTIALS_DIRECTORY,
        tracker_credentials_directory=TRACKER_CREDENTIALS_DIRECTORY,
        stop_grace_seconds=job.spec.trainer.termination_grace_period_seconds - SECONDS_TO_REPORT,
    )


def _node_cache(cache: BaseCacheSpec | None) -> NodeCache | None:
    """Prepare and merge read every byte of a base once, on a node of their own: they need none."""
    return None if cache is None else NodeCache(directory=NODE_CACHE_DIRECTORY, max_bytes=cache.max_bytes)


def _readable(told: RunSpec) -> str:
    """Indented, for those who look at it with kubectl."""
    return told.model_dump_json(by_alias=True, exclude_none=True, indent=2)

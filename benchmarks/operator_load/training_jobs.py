"""PaftJobs whose two arms run: status by the product's own planner, objects by its own builders. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from tests.paft_operator.played_stages import result

from paft_api.run_spec import AdapterReference, RunSpec
from paft_api.spec import PaftJob
from paft_api.spec.job import API_VERSION, KIND
from paft_api.stages import ARMS, StageName
from paft_api.status import PaftJobStatus
from paft_operator.cluster.resources import CONFIG_MAPS, JOBS, Object, Resource, resource_of
from paft_operator.manifests.attempt_objects import attempt_objects
from paft_operator.manifests.run_spec_config_map import pod_placement
from paft_operator.manifests.settings import ManifestSettings
from paft_operator.planner.actions import Action, StartAttempt
from paft_operator.planner.observation import AttemptObservation, AttemptState, Observed
from paft_operator.planner.plan import plan
from paft_operator.run_specs import run_spec

NODE = "node-0"
TRAINER_IMAGE = "paft-trainer:0.1.0"


def paft_job_manifest(namespace: str, number: int) -> Object:
    """A PaftJob that nobody has looked at yet."""
    name = f"job-{number:05}"
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "base": {"uri": "s3://models/llama-2-7b/"},
            "storage": {"artifactsUri": f"s3://paft/{name}/", "endpoint": "http://s3.storage:8333"},
            "sft": {"data": {"train": [{"uri": "s3://data/chats.jsonl", "format": "messages"}]}},
            "preference": {"data": {"train": [{"uri": "s3://data/pairs.jsonl", "format": "preference"}]}},
            "merge": {"output": {"uri": f"s3://models/{name}-paft/"}},
        },
    }


@dataclass(frozen=True, kw_only=True)
class AttemptPlan:
    """One attempt that was started. `objects`: those that the operator watches, the Job last."""

    stage: StageName
    run_spec: RunSpec
    objects: tuple[tuple[Resource, Object], ...]


@dataclass(frozen=True, kw_only=True)
class TrainingJob:
    """A PaftJob in phase Training: prepare has succeeded, both arms run."""

    status: PaftJobStatus
    attempts: tuple[AttemptPlan, ...]


def in_training(job: PaftJob, now: datetime) -> TrainingJob:
    """What the operator has decided by the time that both arms run."""
    begun = plan(job, Observed(), now)
    prepare = _attempt(job, begun.actions[0])
    prepared = AttemptObservation(
        stage=StageName.PREPARE,
        attempt=1,
        generation=job.metadata.generation,
        stage_digest=None,
        state=AttemptState.SUCCEEDED,
        started_at=now,
        finished_at=now,
        report=result(prepare.run_spec),
        admitted_at=now,
        running_since=now,
    )
    training = plan(
        job.model_copy(update={"status": begun.status}), Observed(attempts=(prepared,), has_children=True), now
    )
    return TrainingJob(
        status=training.status, attempts=(prepare, *(_attempt(job, action) for action in training.actions))
    )


def first_attempt(job: PaftJob, stage: StageName) -> RunSpec:
    """RunSpec of the first attempt of an arm or of merge, of a PaftJob in phase Training."""
    status = job.status
    assert status is not None
    assert status.base is not None
    adapters = [AdapterReference(uri=f"{job.spec.storage.artifacts_uri}{arm}/") for arm in ARMS]
    is_merge = stage is StageName.MERGE
    action = StartAttempt(
        stage=stage,
        attempt=1,
        base_digest=status.base.digest,
        stage_digest=status.stage(stage).digest,
        sft_adapter=adapters[0] if is_merge else None,
        preference_adapter=adapters[1] if is_merge else None,
    )
    return run_spec(job, action, pod_placement(job, action))


def pod_manifest(job_object: Object, *, index: int = 0) -> Object:
    """The pod of a Job, as the Job controller makes it; its ServiceAccount, which is left out, aside."""
    template, metadata = job_object["spec"]["template"], job_object["metadata"]
    owner = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{metadata['name']}-{index}",
            "namespace": metadata["namespace"],
            "labels": template["metadata"]["labels"] | {"batch.kubernetes.io/job-completion-index": str(index)},
            "annotations": {"batch.kubernetes.io/job-completion-index": str(index)},
            "ownerReferences": [owner],
        },
        "spec": template["spec"] | {"serviceAccountName": "default", "nodeName": NODE},
    }


def _attempt(job: PaftJob, action: Action) -> AttemptPlan:
    assert isinstance(action, StartAttempt)
    return AttemptPlan(
        stage=action.stage,
        run_spec=run_spec(job, action, pod_placement(job, action)),
        objects=tuple(_watched(job, action)),
    )


def _watched(job: PaftJob, action: StartAttempt) -> Iterator[tuple[Resource, Object]]:
    for manifest in attempt_objects(job, action, ManifestSettings(trainer_image=TRAINER_IMAGE)):
        resource = resource_of(manifest)
        if resource in (CONFIG_MAPS, JOBS):
            yield resource, manifest

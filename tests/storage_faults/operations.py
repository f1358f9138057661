"""What stages do in storage, without training: each in a fraction of a second, again and again with the same result.

An operation that was interrupted is begun anew, and goes on as its stage would. What it returns is what its stage would
act on; the objects that it leaves behind are compared apart from that.
"""

import functools
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from unittest import mock

from tests.merges import merge_run_spec, run_merge
from tests.saved_checkpoints import save_checkpoint
from tests.storage_faults.places import Place, source_uri
from tests.storage_faults.sources import adapter_files, checkpoint_at, checkpoint_digest

from paft_api.layout import probe_uri
from paft_api.report import AdapterMetrics
from paft_api.run_spec import RunSpec, StageIdentity
from paft_api.spec.merge import MergeOutput, MergeSpec
from paft_api.stages import StageName
from paft_trainer.base.index import index_base
from paft_trainer.keeping.prepare_attempts import marked_prepare_attempt
from paft_trainer.keeping.saved_checkpoints import delete_checkpoint, list_checkpoints, superseded
from paft_trainer.launching.heartbeats import Heartbeat
from paft_trainer.merge import stage
from paft_trainer.prepare.output_checks import check_output
from paft_trainer.prepare.storage_checks import check_artifact_rights
from paft_trainer.published_adapters import find_published_adapter
from paft_trainer.reporting import Reporter
from paft_trainer.storage import ObjectStore
from paft_trainer.training.adapter_publication import publish_adapter
from paft_trainer.training.arm_session import ArmSession
from paft_trainer.training.checkpoints.checkpoint import load_newest_checkpoint
from paft_trainer.training.stop_signal import StopSignal

STEPS = 2
STAGE_DIGEST = "sha256:" + "5" * 64
METRICS = AdapterMetrics(steps=12, first_loss=2.5, last_loss=1.5)

Operation = Callable[[ObjectStore, Place], str]
"""Returns one line. Raises StageError."""


def prepare(store: ObjectStore, place: Place) -> str:
    """Its marker, rights, the base's index, and whether the output is free."""
    artifacts, merge = place.storage.artifacts_uri, MergeSpec(output=MergeOutput(uri=f"{place.uri}output/"))
    identity = StageIdentity(
        job_name="faults", job_namespace="default", job_uid="uid", generation=1, stage=StageName.PREPARE, attempt=1
    )
    probes = probe_uri(artifacts, "uid", 1), probe_uri(merge.output.uri, "uid", 1)
    with marked_prepare_attempt(store, artifacts, identity, probes=probes, end_store=lambda: store):
        check_artifact_rights(store, place.storage, probes[0])
        digest = index_base(store, source_uri("base"), artifacts).digest
        check_output(store, merge, place.storage, None, probe=probes[1])
    return digest


def checkpoint(store: ObjectStore, place: Place) -> str:
    """Go on from the newest checkpoint, save after each step, and let go what is superseded."""
    session = arm_session(store, place)
    found = load_newest_checkpoint(store, session.attempts_folder)
    resumed = 0 if found is None else found[1].position.step
    for step in range(resumed + 1, STEPS + 1):
        save_checkpoint(store, session.attempt_folder, checkpoint_at(step), eval_loss=1 / step)
    for saved in superseded(list_checkpoints(store, session.attempts_folder), last=1, best=1):
        delete_checkpoint(store, saved)
    found = load_newest_checkpoint(store, session.attempts_folder)
    assert found is not None
    return checkpoint_digest(found[1])


def publish(store: ObjectStore, place: Place) -> str:
    """Publish an arm's adapter, or find it published."""
    session = arm_session(store, place)
    published = find_published_adapter(store, session.stage_folder)
    published = published or publish_adapter(session, adapter_files(0), METRICS)
    return f"{published.artifact.digest} {published.steps} {published.last_loss}"


def merge(store: ObjectStore, place: Place) -> str:
    """Merge into a fused checkpoint of several shards, as a job does: its prepare stage has read the base."""
    return _merge(store, place, method="ties", max_shard_size="5650KB")


def merge_adapter(store: ObjectStore, place: Place) -> str:
    """Merge into an adapter."""
    return _merge(store, place, method="linear", form="Adapter")


def _merge(store: ObjectStore, place: Place, **options: str) -> str:
    run_spec = merge_run_spec(
        **{name: source_uri(name) for name in ("base", "sft", "preference")},
        output=f"{place.uri}output/",
        artifacts=source_uri("artifacts"),
        endpoint=place.endpoint,
        base_digest=place.base_digest,
        **options,
    )
    with mock.patch.object(stage, "open_stage_store", return_value=store):
        result = run_merge(run_spec)
    return f"{result.artifact.digest} {result.recipe_digest} {result.bytes}"


OPERATIONS: Mapping[str, Operation] = {
    "prepare": prepare,
    "checkpoint": checkpoint,
    "publish": publish,
    "merge": merge,
    "merge-adapter": merge_adapter,
}


def arm_session(store: ObjectStore, place: Place, *, attempt: int = 1) -> ArmSession:
    """An attempt at the SFT arm."""
    arm = {
        "data": {"train": [{"uri": "file:///data/", "format": "messages"}]},
        "training": {"globalBatchSize": 4},
        "resources": {"gpusPerNode": 0},
    }
    world = {
        "nodes": 1,
        "processesPerNode": 1,
        "device": "cpu",
        "gradientAccumulationSteps": 4,
        "threadsPerProcess": 1,
    }
    document = {
        "identity": {
            "jobName": "faults",
            "jobNamespace": "default",
            "jobUid": "uid",
            "generation": 1,
            "stage": "sft",
            "attempt": attempt,
        },
        "base": {"uri": source_uri("base")},
        "storage": place.storage.to_document(),
        "baseDigest": "sha256:" + "b" * 64,
        "stageDigest": STAGE_DIGEST,
        "reportPath": "/unused",
        "terminationPath": "/unused",
        "scratchDirectory": "/unused",
        "cacheDirectory": "/unused",
        "sft": {"spec": arm, "world": world},
    }
    run_spec = RunSpec.model_validate_json(json.dumps(document))
    assert run_spec.sft is not None
    return ArmSession(
        run_spec=run_spec,
        arm=run_spec.sft.spec,
        world=run_spec.sft.world,
        store=store,
        reporter=Reporter(run_spec.identity, None),
        stop_signal=StopSignal(),
        heartbeat=_heartbeat(),
    )


@functools.cache
def _heartbeat() -> Heartbeat:
    """One for all sessions, as each holds a file open."""
    with tempfile.TemporaryDirectory() as scratch:
        return Heartbeat(Path(scratch), 0)

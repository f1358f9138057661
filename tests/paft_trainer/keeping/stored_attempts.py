"""Attempts at the SFT arm as they lie in a store: real markers, checkpoints and adapters."""

import hashlib
import json

import torch
from tests.saved_checkpoints import save_checkpoint

from paft_api.digests import file_set_digest
from paft_api.layout import ADAPTER_MANIFEST_FILE, attempt_folder, attempt_marker_uri, stage_folder
from paft_api.run_spec import StageIdentity
from paft_api.spec.storage import StorageSpec
from paft_api.spec.training import KeepSpec
from paft_api.stages import StageName
from paft_trainer.keeping.attempt_marker import AttemptEnd, AttemptMarker, write_marker
from paft_trainer.storage import ObjectStore
from paft_trainer.training.adapter_state import AdapterState
from paft_trainer.training.checkpoints.checkpoint import Checkpoint, TrainerPosition

DIGEST = f"sha256:{'c' * 64}"


def identity(number: int, job: str = "uid") -> StageIdentity:
    return StageIdentity(
        job_name="demo", job_namespace="team", job_uid=job, generation=1, stage=StageName.SFT, attempt=number
    )


def stage_of(storage: StorageSpec) -> str:
    return stage_folder(storage.artifacts_uri, StageName.SFT, DIGEST)


def folder_of(storage: StorageSpec, number: int, job: str = "uid") -> str:
    return attempt_folder(storage.artifacts_uri, StageName.SFT, DIGEST, job, number)


def put_attempt(
    store: ObjectStore,
    storage: StorageSpec,
    number: int,
    *steps: int,
    job: str = "uid",
    ended: AttemptEnd | None = None,
    keep: KeepSpec | None = None,
) -> str:
    """A marker and checkpoints; returns the attempt's folder."""
    folder = folder_of(storage, number, job)
    marker = AttemptMarker.begin(identity(number, job), keep=keep or KeepSpec(last=1, best=0))
    write_marker(store, attempt_marker_uri(folder), marker if ended is None else marker.end(ended))
    for step in steps:
        save_checkpoint(store, folder, small_checkpoint(step), eval_loss=None)
    return folder


def small_checkpoint(step: int, *, elements: int = 6) -> Checkpoint:
    """Weights of so many elements."""
    weights, first, second = ({"lora_A": torch.full((elements,), step / divisor)} for divisor in (7, 8, 9))
    return Checkpoint(
        position=TrainerPosition(step=step, scheduler={}),
        adapter=AdapterState(weights=weights, moments={"exp_avg": first, "exp_avg_sq": second}, adam_step=step),
        rng={0: {"cpu": torch.arange(3, dtype=torch.uint8)}},
    )


def publish(store: ObjectStore, storage: StorageSpec) -> dict[str, bytes]:
    """A finished adapter; returns its files by name."""
    files = adapter_files()
    for name, content in files.items():
        store.put(stage_of(storage) + name, content)
    return files


def adapter_files() -> dict[str, bytes]:
    """With the manifest last."""
    files = {"adapter_config.json": b"{}", "adapter_model.safetensors": b"weights"}
    sha256 = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    manifest = {
        "formatVersion": 1,
        "kind": "adapter",
        "digest": file_set_digest(sha256),
        "metrics": {"steps": 8},
        "files": {name: {"size": len(content), "sha256": sha256[name]} for name, content in files.items()},
    }
    return files | {ADAPTER_MANIFEST_FILE: json.dumps(manifest).encode()}


def names(store: ObjectStore, folder: str) -> set[str]:
    """Of all objects below a folder."""
    return {info.uri.removeprefix(folder) for info in store.list(folder)}

"""The consolidated checkpoint: whole tensors, readable at any number of ranks, complete once its manifest is there.

step-00000200/
  adapter_model.safetensors      fp32 weights, names as in the model
  optimizer.safetensors          `exp_avg/<name>` and `exp_avg_sq/<name>`, fp32
  rng.safetensors                `<rank>/cpu` and, on CUDA, `<rank>/cuda`: generator states, uint8
  trainer_state.json             step, Adam's t, scheduler, position in the data, history
  checkpoint_manifest.json       written last: size and SHA-256 of the others
"""

import hashlib
import json
from collections.abc import Container, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors

from paft_api.layout import CHECKPOINT_MANIFEST_FILE, checkpoint_folder
from paft_trainer.keeping.saved_checkpoints import (
    ADAPTER_FILE,
    OPTIMIZER_FILE,
    RNG_FILE,
    TRAINER_STATE_FILE,
    CheckpointFile,
    CheckpointManifest,
    SavedCheckpoint,
    list_checkpoints,
    saved_checkpoint,
)
from paft_trainer.storage import ObjectMissing, ObjectStore
from paft_trainer.training.adapter_state import AdapterState
from paft_trainer.verified_reads import read_verified


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainerPosition:
    """Where training is.

    `step`: optimizer steps done; with the seed and globalBatchSize it is the position in the data. `scheduler`:
    state of the learning-rate schedule. `history`: numbers the final report needs, such as the first loss. `penalty`:
    what steers the sparsity, see FactorPenalty.
    """

    step: int
    scheduler: dict[str, Any]
    history: dict[str, Any] = field(default_factory=dict)
    penalty: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """All that a run needs to go on as if it had never stopped. `rng` maps a rank to its generator states."""

    position: TrainerPosition
    adapter: AdapterState
    rng: dict[int, dict[str, torch.Tensor]]


def save_checkpoint(
    store: ObjectStore, attempt_folder: str, checkpoint: Checkpoint, *, eval_loss: float | None
) -> SavedCheckpoint:
    """Write a checkpoint; it counts only once its manifest, the last object, is there."""
    folder = checkpoint_folder(attempt_folder, checkpoint.position.step)
    files = _encode(checkpoint)
    for name, content in files.items():
        with store.open_writer(folder + name) as writer:
            writer.write(content)
    sha256_by_name = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    manifest = CheckpointManifest(
        format_version=1,
        step=checkpoint.position.step,
        eval_loss=eval_loss,
        files={name: CheckpointFile(size=len(files[name]), sha256=sha256) for name, sha256 in sha256_by_name.items()},
    )
    store.put(folder + CHECKPOINT_MANIFEST_FILE, manifest.to_json().encode())
    return saved_checkpoint(folder, manifest)


def load_checkpoint(store: ObjectStore, saved: SavedCheckpoint) -> Checkpoint | None:
    """Read a checkpoint; None where its files are not what its manifest says, so that an older one can serve."""
    files: dict[str, bytes] = {}
    for name, sha256 in saved.sha256_by_name.items():
        try:
            content = read_verified(store, saved.folder + name, sha256)
        except ObjectMissing:
            return None
        if content is None:
            return None
        files[name] = content
    return _decode(files)


def load_newest_checkpoint(store: ObjectStore, folder: str) -> tuple[SavedCheckpoint, Checkpoint] | None:
    """The newest checkpoint under `folder` whose files are intact. Collective: every rank gets the same one.

    Another job may train the same arm and add and remove checkpoints meanwhile, so rank 0 makes the list, and makes it
    anew after one that not every rank could read.
    """
    passed_over: set[str] = set()
    while True:
        saved = _newest_of_rank_0(store, folder, passed_over)
        if saved is None:
            return None
        checkpoint = load_checkpoint(store, saved)
        if _on_every_rank(checkpoint is not None):
            assert checkpoint is not None
            return saved, checkpoint
        passed_over.add(saved.folder)


def _newest_of_rank_0(store: ObjectStore, folder: str, passed_over: Container[str]) -> SavedCheckpoint | None:
    def newest() -> SavedCheckpoint | None:
        return next((saved for saved in list_checkpoints(store, folder) if saved.folder not in passed_over), None)

    if not dist.is_initialized():
        return newest()
    box = [newest() if dist.get_rank() == 0 else None]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def _on_every_rank(condition: bool) -> bool:
    if not dist.is_initialized():
        return condition
    conditions = [False] * dist.get_world_size()
    dist.all_gather_object(conditions, condition)
    return all(conditions)


def _encode(checkpoint: Checkpoint) -> dict[str, bytes]:
    moments = {
        f"{moment}/{name}": tensor
        for moment, tensors in checkpoint.adapter.moments.items()
        for name, tensor in tensors.items()
    }
    rng = {f"{rank}/{name}": state for rank, states in checkpoint.rng.items() for name, state in states.items()}
    state = asdict(checkpoint.position) | {"adam_step": checkpoint.adapter.adam_step}
    return {
        ADAPTER_FILE: save_safetensors(checkpoint.adapter.weights),
        OPTIMIZER_FILE: save_safetensors(moments),
        RNG_FILE: save_safetensors(rng),
        TRAINER_STATE_FILE: json.dumps(state).encode(),
    }


def _decode(files: Mapping[str, bytes]) -> Checkpoint:
    state = json.loads(files[TRAINER_STATE_FILE])
    moments: dict[str, dict[str, torch.Tensor]] = {}
    for key, tensor in load_safetensors(files[OPTIMIZER_FILE]).items():
        moment, name = key.split("/", 1)
        moments.setdefault(moment, {})[name] = tensor
    rng: dict[int, dict[str, torch.Tensor]] = {}
    for key, tensor in load_safetensors(files[RNG_FILE]).items():
        rank, name = key.split("/", 1)
        rng.setdefault(int(rank), {})[name] = tensor
    adam_step = state.pop("adam_step")
    adapter = AdapterState(weights=load_safetensors(files[ADAPTER_FILE]), moments=moments, adam_step=adam_step)
    return Checkpoint(position=TrainerPosition(**state), adapter=adapter, rng=rng)

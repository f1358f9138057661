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
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import torch
import torch.distributed as dist
from pydantic import ValidationError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors

from paft_api.layout import CHECKPOINT_MANIFEST_FILE, checkpoint_folder
from paft_api.model import Model
from paft_trainer.storage import ObjectMissing, ObjectStore
from paft_trainer.training.adapter_state import AdapterState

_ADAPTER = "adapter_model.safetensors"
_OPTIMIZER = "optimizer.safetensors"
_RNG = "rng.safetensors"
_TRAINER_STATE = "trainer_state.json"


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


class CheckpointFile(Model):
    """One file of a checkpoint."""

    size: int
    """Bytes."""
    sha256: str
    """SHA-256 of its content, hexadecimal."""


class CheckpointManifest(Model):
    """What makes a checkpoint complete."""

    format_version: Literal[1]
    """Version of this format."""
    step: int
    """Optimizer steps done."""
    eval_loss: float | None = None
    """Loss on the evaluation rows; unset where this step was not evaluated."""
    files: dict[str, CheckpointFile]
    """All other files, by name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SavedCheckpoint:
    """A complete checkpoint in the object store, as its manifest tells."""

    folder: str
    step: int
    eval_loss: float | None
    sha256_by_name: dict[str, str]


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
    return _saved(folder, manifest)


def list_checkpoints(store: ObjectStore, folder: str) -> list[SavedCheckpoint]:
    """Complete checkpoints anywhere under `folder`, newest first."""
    manifests = (info.uri for info in store.list(folder) if info.uri.endswith("/" + CHECKPOINT_MANIFEST_FILE))
    found = [saved for uri in manifests if (saved := _read_manifest(store, uri)) is not None]
    return sorted(found, key=lambda saved: (saved.step, saved.folder), reverse=True)


def _read_manifest(store: ObjectStore, uri: str) -> SavedCheckpoint | None:
    """None where it is torn or of another version, or where the attempt it belongs to has just removed it."""
    try:
        manifest = CheckpointManifest.model_validate_json(store.read(uri))
    except (ObjectMissing, ValidationError):
        return None
    return _saved(uri.removesuffix(CHECKPOINT_MANIFEST_FILE), manifest)


def _saved(folder: str, manifest: CheckpointManifest) -> SavedCheckpoint:
    return SavedCheckpoint(
        folder=folder,
        step=manifest.step,
        eval_loss=manifest.eval_loss,
        sha256_by_name={name: file.sha256 for name, file in manifest.files.items()},
    )


def load_checkpoint(store: ObjectStore, saved: SavedCheckpoint) -> Checkpoint | None:
    """Read a checkpoint; None where its files are not what its manifest says, so that an older one can serve."""
    files: dict[str, bytes] = {}
    for name, sha256 in saved.sha256_by_name.items():
        try:
            content = store.read(saved.folder + name)
        except ObjectMissing:
            return None
        if hashlib.sha256(content).hexdigest() != sha256:
            return None
        files[name] = content
    return _decode(files)


def load_newest_checkpoint(store: ObjectStore, folder: str) -> tuple[SavedCheckpoint, Checkpoint] | None:
    """The newest checkpoint under `folder` whose files are intact. Collective: every rank gets the same one.

    Another job may train the same arm and add and remove checkpoints meanwhile, so rank 0 makes the list, and one that
    not every rank could read is passed over.
    """
    for saved in _of_rank_0(list_checkpoints(store, folder)):
        checkpoint = load_checkpoint(store, saved)
        if _on_every_rank(checkpoint is not None):
            assert checkpoint is not None
            return saved, checkpoint
    return None


def _of_rank_0(saved: list[SavedCheckpoint]) -> list[SavedCheckpoint]:
    if not dist.is_initialized():
        return saved
    box = [saved]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def _on_every_rank(condition: bool) -> bool:
    if not dist.is_initialized():
        return condition
    conditions = [False] * dist.get_world_size()
    dist.all_gather_object(conditions, condition)
    return all(conditions)


def superseded(saved: Iterable[SavedCheckpoint], *, last: int, best: int) -> list[SavedCheckpoint]:
    """Checkpoints that training.keep lets go: all but the `last` newest and the `best` of lowest evaluation loss."""
    newest_first = sorted(saved, key=lambda entry: entry.step, reverse=True)
    evaluated = sorted((entry for entry in newest_first if entry.eval_loss is not None), key=_by_eval_loss)
    kept = {entry.folder for entry in [*newest_first[:last], *evaluated[:best]]}
    return [entry for entry in newest_first if entry.folder not in kept]


def delete_checkpoint(store: ObjectStore, saved: SavedCheckpoint) -> None:
    """Remove a checkpoint, its manifest first, so that no reader takes it for complete."""
    store.delete(saved.folder + CHECKPOINT_MANIFEST_FILE)
    for name in saved.sha256_by_name:
        store.delete(saved.folder + name)


def _by_eval_loss(saved: SavedCheckpoint) -> float:
    assert saved.eval_loss is not None
    return saved.eval_loss


def _encode(checkpoint: Checkpoint) -> dict[str, bytes]:
    moments = {
        f"{moment}/{name}": tensor
        for moment, tensors in checkpoint.adapter.moments.items()
        for name, tensor in tensors.items()
    }
    rng = {f"{rank}/{name}": state for rank, states in checkpoint.rng.items() for name, state in states.items()}
    state = asdict(checkpoint.position) | {"adam_step": checkpoint.adapter.adam_step}
    return {
        _ADAPTER: save_safetensors(checkpoint.adapter.weights),
        _OPTIMIZER: save_safetensors(moments),
        _RNG: save_safetensors(rng),
        _TRAINER_STATE: json.dumps(state).encode(),
    }


def _decode(files: Mapping[str, bytes]) -> Checkpoint:
    state = json.loads(files[_TRAINER_STATE])
    moments: dict[str, dict[str, torch.Tensor]] = {}
    for key, tensor in load_safetensors(files[_OPTIMIZER]).items():
        moment, name = key.split("/", 1)
        moments.setdefault(moment, {})[name] = tensor
    rng: dict[int, dict[str, torch.Tensor]] = {}
    for key, tensor in load_safetensors(files[_RNG]).items():
        rank, name = key.split("/", 1)
        rng.setdefault(int(rank), {})[name] = tensor
    adam_step = state.pop("adam_step")
    adapter = AdapterState(weights=load_safetensors(files[_ADAPTER]), moments=moments, adam_step=adam_step)
    return Checkpoint(position=TrainerPosition(**state), adapter=adapter, rng=rng)

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
from typing import Any

import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors

from paft_api.layout import CHECKPOINT_MANIFEST_FILE, checkpoint_folder
from paft_trainer.storage import ObjectMissing, ObjectStore
from paft_trainer.training.adapter_state import AdapterState

FORMAT_VERSION = 1

_ADAPTER = "adapter_model.safetensors"
_OPTIMIZER = "optimizer.safetensors"
_RNG = "rng.safetensors"
_TRAINER_STATE = "trainer_state.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainerPosition:
    """Where training is.

    `step`: optimizer steps done; with the seed and globalBatchSize it is the position in the data. `scheduler`:
    state of the learning-rate schedule. `history`: numbers the final report needs, such as the first loss.
    """

    step: int
    scheduler: dict[str, Any]
    history: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """All that a run needs to go on as if it had never stopped. `rng` maps a rank to its generator states."""

    position: TrainerPosition
    adapter: AdapterState
    rng: dict[int, dict[str, torch.Tensor]]


@dataclass(frozen=True, kw_only=True, slots=True)
class SavedCheckpoint:
    """A complete checkpoint in the object store, as its manifest tells. `eval_loss` is of the last evaluation."""

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
    manifest = {
        "formatVersion": FORMAT_VERSION,
        "step": checkpoint.position.step,
        "evalLoss": eval_loss,
        "files": {name: {"size": len(content), "sha256": sha256_by_name[name]} for name, content in files.items()},
    }
    store.put(folder + CHECKPOINT_MANIFEST_FILE, json.dumps(manifest).encode())
    return SavedCheckpoint(
        folder=folder, step=checkpoint.position.step, eval_loss=eval_loss, sha256_by_name=sha256_by_name
    )


def list_checkpoints(store: ObjectStore, folder: str) -> list[SavedCheckpoint]:
    """Complete checkpoints anywhere under `folder`, newest first."""
    found = []
    for info in store.list(folder):
        if info.uri.endswith("/" + CHECKPOINT_MANIFEST_FILE):
            manifest = json.loads(store.read(info.uri))
            if manifest["formatVersion"] == FORMAT_VERSION:
                found.append(
                    SavedCheckpoint(
                        folder=info.uri.removesuffix(CHECKPOINT_MANIFEST_FILE),
                        step=manifest["step"],
                        eval_loss=manifest["evalLoss"],
                        sha256_by_name={name: entry["sha256"] for name, entry in manifest["files"].items()},
                    )
                )
    return sorted(found, key=lambda saved: (saved.step, saved.folder), reverse=True)


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
    """The newest checkpoint under `folder` whose files are intact."""
    for saved in list_checkpoints(store, folder):
        checkpoint = load_checkpoint(store, saved)
        if checkpoint is not None:
            return saved, checkpoint
    return None


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

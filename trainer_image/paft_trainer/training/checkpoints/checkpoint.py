"""What a checkpoint holds and how it lies in storage: saved by any number of ranks, readable at any other.

step-00000200/
  part-00001-of-00004.safetensors  one for each rank that saved: its share of weights and Adam moments (see `parts`)
  trainer_state.json               step, Adam's t, shapes of the whole tensors, scheduler, history
  checkpoint_manifest.json         written last, once all parts are there: size and SHA-256 of the others
"""

import hashlib
import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
import torch.distributed as dist

from paft_api.layout import CHECKPOINT_MANIFEST_FILE
from paft_trainer.keeping.saved_checkpoints import (
    TRAINER_STATE_FILE,
    CheckpointFile,
    CheckpointManifest,
    SavedCheckpoint,
    list_checkpoints,
    part_file,
    saved_checkpoint,
)
from paft_trainer.storage import ObjectMissing, ObjectStore
from paft_trainer.training.adapter_state import AdapterShare, AdapterState, joined
from paft_trainer.training.checkpoints.parts import read_part
from paft_trainer.verified_reads import read_verified


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainerPosition:
    """Where training is.

    `step`: optimizer steps done; with the seed and globalBatchSize it is the position in the data. `scheduler`:
    see `schedule_state`. `history`: numbers the final report needs, such as the first loss. `penalty`:
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


def encode_trainer_state(position: TrainerPosition, share: AdapterShare) -> bytes:
    """The file beside the parts, as it is now: what is the same on every rank."""
    state = asdict(position) | {"adam_step": share.adam_step, "shapes": share.shapes}
    return json.dumps(state).encode()


def complete_checkpoint(
    store: ObjectStore,
    folder: str,
    *,
    step: int,
    state: bytes,
    parts: Sequence[CheckpointFile],
    eval_loss: float | None,
) -> SavedCheckpoint:
    """Write what comes after the parts of all ranks: the trainer's state and, last, the manifest."""
    store.put(folder + TRAINER_STATE_FILE, state)
    files = {part_file(rank, len(parts)): part for rank, part in enumerate(parts)}
    files[TRAINER_STATE_FILE] = CheckpointFile(size=len(state), sha256=hashlib.sha256(state).hexdigest())
    manifest = CheckpointManifest(format_version=2, step=step, eval_loss=eval_loss, files=files)
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


def _decode(files: Mapping[str, bytes]) -> Checkpoint:
    state = json.loads(files[TRAINER_STATE_FILE])
    adam_step, listed = state.pop("adam_step"), state.pop("shapes")
    shapes = {name: tuple(shape) for name, shape in listed.items()}
    names = sorted(name for name in files if name != TRAINER_STATE_FILE)
    parts = [read_part(files[name], shapes=shapes, adam_step=adam_step) for name in names]
    return Checkpoint(
        position=TrainerPosition(**state),
        adapter=joined([share for share, _ in parts]),
        rng={rank: random_state for rank, (_, random_state) in enumerate(parts)},
    )

"""Checkpoints as their manifests tell of them: which there are, which are let go, and how they are removed."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import ValidationError

from paft_api.layout import CHECKPOINT_MANIFEST_FILE
from paft_api.model import Model
from paft_trainer.storage import ObjectInfo, ObjectMissing, ObjectStore

TRAINER_STATE_FILE = "trainer_state.json"
_PART_FILE = re.compile(r"part-[0-9]{5}-of-[0-9]{5}\.safetensors")
_MANIFEST_SUFFIX = f"/{CHECKPOINT_MANIFEST_FILE}"


class CheckpointFile(Model):
    """One file of a checkpoint."""

    size: int
    """Bytes."""
    sha256: str
    """SHA-256 of its content, hexadecimal."""


class CheckpointManifest(Model):
    """What makes a checkpoint complete."""

    format_version: Literal[2]
    """Version of this format."""
    step: int
    """Optimizer steps done."""
    eval_loss: float | None = None
    """Loss on the evaluation rows; unset where this step was not evaluated."""
    files: dict[str, CheckpointFile]
    """All other files, by name."""


def part_file(rank: int, ranks: int) -> str:
    """Name of the file that one rank of so many writes; names sort by rank."""
    return f"part-{rank:05d}-of-{ranks:05d}.safetensors"


def is_checkpoint_file(name: str) -> bool:
    """Whether a file in a checkpoint's folder is one that PAFT writes there, for whatever number of ranks."""
    return name in (CHECKPOINT_MANIFEST_FILE, TRAINER_STATE_FILE) or _PART_FILE.fullmatch(name) is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class SavedCheckpoint:
    """A complete checkpoint in the object store, as its manifest tells."""

    folder: str
    step: int
    eval_loss: float | None
    sha256_by_name: dict[str, str]


def list_checkpoints(store: ObjectStore, folder: str) -> list[SavedCheckpoint]:
    """Complete checkpoints anywhere under `folder`, newest first."""
    return checkpoints_among(store, list(store.list(folder)))


def checkpoints_among(store: ObjectStore, infos: Iterable[ObjectInfo]) -> list[SavedCheckpoint]:
    """The complete ones among listed objects, newest first: whose manifest can be read, and whose files have the sizes
    that it tells."""
    sizes = {info.uri: info.size for info in infos}
    folders = [uri.removesuffix(CHECKPOINT_MANIFEST_FILE) for uri in sizes if uri.endswith(_MANIFEST_SUFFIX)]
    found = [
        saved_checkpoint(folder, manifest)
        for folder in folders
        if (manifest := read_checkpoint_manifest(store, folder)) is not None
        and is_whole(manifest, {name: sizes.get(folder + name) for name in manifest.files})
    ]
    return newest_first(found)


def read_checkpoint_manifest(store: ObjectStore, folder: str) -> CheckpointManifest | None:
    """None where it is torn or of another version, or where the attempt it belongs to has just removed it."""
    try:
        return CheckpointManifest.model_validate_json(store.read(folder + CHECKPOINT_MANIFEST_FILE))
    except (ObjectMissing, ValidationError):
        return None


def is_whole(manifest: CheckpointManifest, sizes: Mapping[str, int | None]) -> bool:
    """Whether all files are there, as far as their sizes tell. `sizes`: by name, None for one that is not there."""
    return all(sizes.get(name) == file.size for name, file in manifest.files.items())


def saved_checkpoint(folder: str, manifest: CheckpointManifest) -> SavedCheckpoint:
    """What a manifest tells of the checkpoint in `folder`."""
    return SavedCheckpoint(
        folder=folder,
        step=manifest.step,
        eval_loss=manifest.eval_loss,
        sha256_by_name={name: file.sha256 for name, file in manifest.files.items()},
    )


def newest_first(saved: Iterable[SavedCheckpoint]) -> list[SavedCheckpoint]:
    """By step; those of one step in an order that does not depend on who lists."""
    return sorted(saved, key=lambda one: (one.step, one.folder), reverse=True)


def superseded(saved: Iterable[SavedCheckpoint], *, last: int, best: int) -> list[SavedCheckpoint]:
    """Checkpoints that training.keep lets go: all but the `last` newest and the `best` of lowest evaluation loss, where
    they are equal the earliest."""
    ordered = newest_first(saved)
    evaluated = sorted((entry for entry in ordered if entry.eval_loss is not None), key=_by_eval_loss)
    kept = {entry.folder for entry in [*ordered[:last], *evaluated[:best]]}
    return [entry for entry in ordered if entry.folder not in kept]


def delete_checkpoint(store: ObjectStore, saved: SavedCheckpoint) -> None:
    """Remove a checkpoint, its manifest first, so that no reader takes it for complete."""
    store.delete(saved.folder + CHECKPOINT_MANIFEST_FILE)
    for name in saved.sha256_by_name:
        store.delete(saved.folder + name)


def _by_eval_loss(saved: SavedCheckpoint) -> tuple[float, int]:
    assert saved.eval_loss is not None
    return saved.eval_loss, saved.step

"""Which files of a Hugging Face folder hold which weights: one file, or shards and their index."""

from dataclasses import dataclass

from pydantic import BaseModel, ValidationError

from paft_trainer.errors import ArtifactMismatch, ConfigInvalid
from paft_trainer.storage import ObjectMissing, ObjectStore

SINGLE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt")
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model")


class _Index(BaseModel):
    weight_map: dict[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointFiles:
    """Names relative to the folder. `weights`: safetensors files in order. `others`: every other file at the top
    level."""

    weights: tuple[str, ...]
    others: tuple[str, ...]


def find_checkpoint_files(store: ObjectStore, folder: str) -> CheckpointFiles:
    """List a base folder. Raises ConfigInvalid or ArtifactMismatch where it cannot be a base."""
    names = [info.uri.removeprefix(folder) for info in store.list(folder)]
    names = [name for name in names if "/" not in name]
    if not names:
        raise ObjectMissing(f"{folder} is empty or does not exist", remedy="Check base.uri.")
    if "config.json" not in names:
        raise ConfigInvalid(
            f"{folder} has no config.json", remedy="base.uri must name a Hugging Face model folder with config.json."
        )
    weights = _weights(store, folder, names)
    if not any(name in names for name in TOKENIZER_FILES):
        raise ConfigInvalid(
            f"{folder} has no tokenizer ({', '.join(TOKENIZER_FILES)})",
            remedy="Save the tokenizer into the base folder.",
        )
    others = tuple(
        name
        for name in names
        if name not in weights and name != INDEX_FILE and not name.endswith((*PICKLE_SUFFIXES, ".safetensors"))
    )
    return CheckpointFiles(weights=weights, others=others)


def _weights(store: ObjectStore, folder: str, names: list[str]) -> tuple[str, ...]:
    if INDEX_FILE in names:
        return _indexed(folder, store.read(folder + INDEX_FILE), names)
    if SINGLE_FILE in names:
        return (SINGLE_FILE,)
    pickled = next((name for name in names if name.endswith(PICKLE_SUFFIXES)), None)
    if pickled is not None:
        raise ConfigInvalid(
            f"{folder} has pickled weights only ({pickled}); unpickling runs code of the file",
            remedy="Convert them: load the model once and save it with save_pretrained, which writes safetensors.",
        )
    raise ConfigInvalid(
        f"{folder} has neither {SINGLE_FILE} nor {INDEX_FILE}",
        remedy="base.uri must name a Hugging Face model folder with safetensors weights.",
    )


def _indexed(folder: str, index: bytes, names: list[str]) -> tuple[str, ...]:
    try:
        shards = sorted(set(_Index.model_validate_json(index).weight_map.values()))
    except ValidationError as error:
        raise ArtifactMismatch(
            f"{folder}{INDEX_FILE} is no index of weights: it needs a weight_map of tensors to files",
            remedy="Save the model again with save_pretrained.",
        ) from error
    for shard in shards:
        if "/" in shard or not shard.endswith(".safetensors"):
            raise ArtifactMismatch(f"{folder}{INDEX_FILE} names {shard!r}, which is no safetensors file of this folder")
        if shard not in names:
            raise ArtifactMismatch(
                f"{folder}{INDEX_FILE} names {shard}, which is not there", remedy="Upload the missing shard."
            )
    return tuple(shards)

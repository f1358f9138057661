"""Which files of a Hugging Face folder hold which weights: one file, or shards and their index."""

from collections.abc import Mapping
from dataclasses import dataclass

from paft_trainer.errors import ArtifactMismatch, ConfigInvalid
from paft_trainer.folder_links import require_no_links_out
from paft_trainer.foreign_documents import BrokenDocument, quoted, read_object, refused, shown
from paft_trainer.storage import ObjectMissing, ObjectStore

SINGLE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt")
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model")

CONFIGURATION_FILE = "config.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointFiles:
    """Names relative to the folder. `weights`: safetensors files in order. `others`: every other file at the top
    level. `weight_map`: the file of each tensor, as the index tells; None for a single file."""

    weights: tuple[str, ...]
    others: tuple[str, ...]
    weight_map: Mapping[str, str] | None = None


def find_checkpoint_files(store: ObjectStore, folder: str) -> CheckpointFiles:
    """List a base folder. Raises ConfigInvalid or ArtifactMismatch where it cannot be a base."""
    names = _file_names(store, folder)
    if not names:
        raise ObjectMissing(f"{folder} is empty or does not exist", remedy="Check base.uri.")
    if CONFIGURATION_FILE not in names:
        raise ConfigInvalid(
            f"{folder} has no {CONFIGURATION_FILE}",
            remedy="base.uri must name a Hugging Face model folder with config.json.",
        )
    require_no_links_out(folder, names)
    try:
        read_object(store, folder + CONFIGURATION_FILE)
    except BrokenDocument as error:
        raise ConfigInvalid(f"{folder}{CONFIGURATION_FILE} is {error}", remedy="Upload the base again.") from error
    weight_map = _weight_map(store, folder, names)
    weights = _weights(folder, names) if weight_map is None else tuple(sorted({*weight_map.values()}))
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
    return CheckpointFiles(weights=weights, others=others, weight_map=weight_map)


def require_index(folder: str, weight_map: Mapping[str, str], tensors: Mapping[str, str]) -> None:
    """Raises ArtifactMismatch unless every tensor lies where the index says. `tensors`: the file of each tensor."""
    for problem in index_problems(weight_map, tensors):
        raise ArtifactMismatch(
            f"{folder}{INDEX_FILE}: {problem}",
            remedy="Save the model again with save_pretrained, and upload all of it.",
        )


def index_problems(weight_map: Mapping[str, str], tensors: Mapping[str, str]) -> list[str]:
    """Where an index and the headers of its files differ, in words."""
    problems = []
    for name, file in sorted(weight_map.items()):
        if name not in tensors:
            problems.append(f"{shown(name)} is said to lie in {shown(file)}, but no file has it")
        elif tensors[name] != file:
            problems.append(f"{shown(name)} is said to lie in {shown(file)}, but lies in {shown(tensors[name])}")
    unknown = sorted(tensors.keys() - weight_map.keys())
    return problems + [f"{shown(name)} of {shown(tensors[name])} is not named" for name in unknown]


def _file_names(store: ObjectStore, folder: str) -> list[str]:
    """Names at the top level. The empty one is an object that consoles make to show an empty folder."""
    names = [info.uri.removeprefix(folder) for info in store.list(folder)]
    names = [name for name in names if name and "/" not in name]
    for name in names:
        if name in (".", "..") or "\\" in name or not name.isprintable():
            raise ConfigInvalid(
                f"{folder} holds {name!r}, which is no name of a file", remedy="Remove this object from the base."
            )
    return names


def _weights(folder: str, names: list[str]) -> tuple[str, ...]:
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


def _weight_map(store: ObjectStore, folder: str, names: list[str]) -> Mapping[str, str] | None:
    """The index's, with every file there; None without an index. Raises ArtifactMismatch or ConfigInvalid."""
    if INDEX_FILE not in names:
        return None
    weight_map = read_weight_map(store, folder)
    for shard in sorted({*weight_map.values()}):
        if "/" in shard or not shard.endswith(".safetensors"):
            raise ArtifactMismatch(
                f"{folder}{INDEX_FILE} names {quoted(shard)}, which is no safetensors file of this folder",
                remedy="Save the model again with save_pretrained.",
            )
        if shard not in names:
            raise ArtifactMismatch(
                f"{folder}{INDEX_FILE} names {shown(shard)}, which is not there", remedy="Upload the missing shard."
            )
    if SINGLE_FILE in names and SINGLE_FILE not in weight_map.values():
        raise ConfigInvalid(
            f"{folder} has both {SINGLE_FILE} and {INDEX_FILE} with other files: readers differ in which they load",
            remedy="Remove the one that is not meant.",
        )
    return weight_map


def read_weight_map(store: ObjectStore, folder: str) -> Mapping[str, str]:
    """The file of each tensor, from the folder's index. Raises ArtifactMismatch where it is none."""
    uri, remedy = folder + INDEX_FILE, "Save the model again with save_pretrained."
    what = "index of weights"
    try:
        weight_map = read_object(store, uri).get("weight_map")
    except BrokenDocument as error:
        raise refused(ArtifactMismatch, uri, what, error, remedy=remedy) from error
    if not isinstance(weight_map, dict) or not all(isinstance(file, str) for file in weight_map.values()):
        raise ArtifactMismatch(f"{uri} is no {what}: it needs a weight_map of tensors to files", remedy=remedy)
    if not weight_map:
        raise ArtifactMismatch(f"{uri} is no {what}: its weight_map is empty", remedy=remedy)
    return weight_map

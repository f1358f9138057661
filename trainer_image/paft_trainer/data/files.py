"""Which files a source consists of, and of which type they are."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from paft_api.spec.data import DataSource, FileType
from paft_trainer.data.readers.reader import DataFile
from paft_trainer.errors import ConfigInvalid, DataInvalid
from paft_trainer.storage import ObjectInfo, ObjectMissing, ObjectStore

SUFFIXES = {
    ".jsonl": FileType.JSONL,
    ".ndjson": FileType.JSONL,
    ".csv": FileType.CSV,
    ".tsv": FileType.TSV,
    ".parquet": FileType.PARQUET,
    ".arrow": FileType.ARROW,
    ".feather": FileType.ARROW,
}
"""Names that tell a type. What ends in .json may be an array, or lines."""

_COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".zip", ".lz4")
_OF_DATASETS = ("dataset_info.json", "dataset_infos.json", "state.json", "dataset_dict.json")
"""Files that the library `datasets` writes beside the data."""

_SHARD = re.compile(r"(?:^|/)(?P<split>\w+(?:\.\w+)*?)-\d{5}-of-\d{5}(?:-\w+)?\.\w+$")
"""How it names the shards of a split."""

_SNIFFED_BYTES = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class TypedFile:
    """One file of a source. `type`: never auto."""

    file: DataFile
    type: FileType


def source_files(store: ObjectStore, source: DataSource) -> list[TypedFile]:
    """The file of a source, or the files of its folder in order of their names. `store`: that of the stage.

    Raises ObjectMissing, ConfigInvalid where it does not say which files are meant, and DataInvalid.
    """
    files = store.of_source(source)
    infos = _listed(files, source) if source.uri.endswith("/") else [_single(files, source)]
    return [_typed(files, info, source) for info in infos]


def _single(store: ObjectStore, source: DataSource) -> ObjectInfo:
    if source.split is not None:
        raise ConfigInvalid(
            f"{source.uri} is one file, which has no split {source.split}",
            remedy="Remove split, or give the folder of the data set, with a slash at the end.",
        )
    info = store.head(source.uri)
    if info is not None:
        return info
    if next(iter(store.list(f"{source.uri}/")), None) is not None:
        raise ObjectMissing(f"{source.uri} is a folder", remedy=f"Write it with a slash at the end: {source.uri}/")
    raise ObjectMissing(f"{source.uri}: there is no such file", remedy="Check the address.")


def _listed(store: ObjectStore, source: DataSource) -> list[ObjectInfo]:
    infos = list(store.list(source.uri))
    names = {info.uri.removeprefix(source.uri): info for info in infos}
    if "dataset_dict.json" in names:
        split = _chosen_split(source, _splits(store, names["dataset_dict.json"]))
        names = {name.removeprefix(f"{split}/"): info for name, info in names.items() if name.startswith(f"{split}/")}
        return _saved(store, source, names)
    if "state.json" in names and "dataset_info.json" in names:
        if source.split is not None:
            raise ConfigInvalid(f"{source.uri} is a single data set, without splits", remedy="Remove split.")
        return _saved(store, source, names)
    type_ = _only_type(source, names)
    found = {name: info for name, info in names.items() if _may_be(name, type_)}
    if type_ is FileType.JSONL and source.split is None:
        return list(found.values())
    return _of_split(source, found)


def _only_type(source: DataSource, names: Iterable[str]) -> FileType:
    """The type of a folder's files: the one it says, else jsonl where there is any, else the only one."""
    if source.file_type is not FileType.AUTO:
        return source.file_type
    names = list(names)
    present = [type_ for type_ in FileType if any(_may_be(name, type_) for name in names)]
    if FileType.JSONL in present:
        return FileType.JSONL
    if len(present) > 1:
        raise ConfigInvalid(
            f"{source.uri} has files of several types: {', '.join(present)}",
            remedy="Say which are meant with `fileType`, or give each type a folder of its own.",
        )
    if not present:
        compressed = next((name for name in names if name.endswith(_COMPRESSED)), None)
        if compressed is not None:
            raise ConfigInvalid(
                f"{source.uri}{compressed} is compressed", remedy="Unpack it, or save the data as Parquet."
            )
        raise ObjectMissing(f"{source.uri} has no data files", remedy="Check the address.")
    return present[0]


def _may_be(name: str, type_: FileType) -> bool:
    if name.rpartition("/")[2] in _OF_DATASETS:
        return False
    if type_ is FileType.JSON:
        return name.endswith(".json")
    return any(name.endswith(suffix) for suffix, of_suffix in SUFFIXES.items() if of_suffix is type_)


def _of_split(source: DataSource, found: dict[str, ObjectInfo]) -> list[ObjectInfo]:
    """Files of one split: by the names of shards, of files or of folders. Without names of shards, all of them."""
    by_split: dict[str, list[ObjectInfo]] = {}
    for name, info in found.items():
        shard = _SHARD.search(name)
        if shard is not None:
            by_split.setdefault(shard["split"], []).append(info)
        elif source.split is not None:
            first, _, rest = name.rpartition("/")[0].rpartition("/")
            folder = rest or first
            split = source.split if source.split in (folder, name.rpartition("/")[2].rpartition(".")[0]) else name
            by_split.setdefault(split, []).append(info)
        else:
            by_split.setdefault("", []).append(info)
    if list(by_split) == [""] and source.split is None:
        return by_split[""]
    return by_split[_chosen_split(source, by_split)] if by_split else _no_files(source)


def _no_files(source: DataSource) -> list[ObjectInfo]:
    raise ObjectMissing(f"{source.uri} has no files of type {source.file_type}", remedy="Check the address.")


def _chosen_split(source: DataSource, splits: Iterable[str]) -> str:
    names = list(splits)
    if source.split is None and len(names) == 1:
        return names[0]
    if source.split in names:
        return source.split
    shown = ", ".join(name or "files of no split" for name in names[:8])
    if source.split is None:
        raise ConfigInvalid(f"{source.uri} has the splits {shown}", remedy="Say which one is meant with `split`.")
    raise ConfigInvalid(f"{source.uri} has no split {source.split}; it has {shown}", remedy="Correct `split`.")


def _splits(store: ObjectStore, info: ObjectInfo) -> list[str]:
    splits = _document(store, info).get("splits")
    if not isinstance(splits, list) or not all(isinstance(split, str) for split in splits):
        raise _not_saved(info.uri, "splits is no list of names")
    return splits


def _saved(store: ObjectStore, source: DataSource, names: dict[str, ObjectInfo]) -> list[ObjectInfo]:
    """The Arrow files of a data set that `save_to_disk` wrote, in its order."""
    if "state.json" not in names:
        raise ObjectMissing(f"{source.uri} has no state.json of this split", remedy="Save the data set again.")
    state_info = names["state.json"]
    state = _document(store, state_info)
    if state.get("_indices_data_files"):
        raise _not_saved(state_info.uri, "its rows are a selection by indices", "Save it with flatten_indices().")
    files = []
    for entry in state.get("_data_files") or ():
        name = entry.get("filename") if isinstance(entry, dict) else None
        if name not in names:
            raise _not_saved(state_info.uri, f"it names the file {name}, which is not there")
        files.append(names[name])
    if not files:
        raise _not_saved(state_info.uri, "it names no files")
    return files


def _document(store: ObjectStore, info: ObjectInfo) -> dict[str, object]:
    try:
        document = json.loads(store.read(info.uri))
    except ValueError as error:
        raise _not_saved(info.uri, f"it is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise _not_saved(info.uri, "it is no JSON object")
    return document


def _not_saved(uri: str, reason: str, remedy: str = "Save the data set again.") -> DataInvalid:
    return DataInvalid(f"{uri}: not what save_to_disk writes: {reason}", remedy=remedy)


def _typed(store: ObjectStore, info: ObjectInfo, source: DataSource) -> TypedFile:
    file = DataFile(store=store, info=info)
    if info.uri.endswith(_COMPRESSED) and source.file_type is FileType.AUTO:
        raise ConfigInvalid(f"{info.uri} is compressed", remedy="Unpack it, or save the data as Parquet.")
    if source.file_type is not FileType.AUTO:
        return TypedFile(file=file, type=source.file_type)
    by_name = next((type_ for suffix, type_ in SUFFIXES.items() if info.uri.endswith(suffix)), None)
    return TypedFile(file=file, type=by_name or _by_content(file))


def _by_content(file: DataFile) -> FileType:
    """By how it begins; what begins like nothing else is JSONL."""
    beginning = file.read(0, min(_SNIFFED_BYTES, file.info.size))
    if beginning.startswith(b"PAR1"):
        return FileType.PARQUET
    if beginning.startswith((b"ARROW1", b"\xff\xff\xff\xff")):
        return FileType.ARROW
    text = beginning.removeprefix(b"\xef\xbb\xbf").lstrip()
    is_array = text.startswith(b"[") and file.uri.endswith(".json")
    return FileType.JSON if is_array else FileType.JSONL

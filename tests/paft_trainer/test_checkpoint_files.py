"""Which files are a base, where its index lies and where its folder holds what no base has."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.merges import folder_uri
from tests.tiny_models import build_checkpoint

from paft_api.layout import index_uri
from paft_api.spec.storage import StorageSpec
from paft_trainer.base.index import index_base
from paft_trainer.checkpoint_files import INDEX_FILE, find_checkpoint_files
from paft_trainer.errors import ArtifactMismatch, ConfigInvalid, StageError
from paft_trainer.storage import open_store
from paft_trainer.storage.file_store import FileStore

FIRST, SECOND = "model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors"


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_checkpoint(tmp_path_factory.mktemp("sharded") / "base", hidden_size=16, max_shard_size="20KB")


@pytest.fixture
def base(sharded: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return shutil.copytree(sharded, tmp_path / "base")


def test_the_index_tells_the_shards_and_what_lies_in_them(base: Path) -> None:
    found = find_checkpoint_files(FileStore(), folder_uri(base))
    assert found.weights[:2] == (FIRST, SECOND)
    assert found.weight_map == json.loads((base / INDEX_FILE).read_text())["weight_map"]
    assert "config.json" in found.others


def pointing(file: str) -> Callable[[Path], None]:
    def spoil(base: Path) -> None:
        document = json.loads((base / INDEX_FILE).read_text())
        document["weight_map"]["model.norm.weight"] = file
        (base / INDEX_FILE).write_text(json.dumps(document))

    return spoil


def without_a_tensor(base: Path) -> None:
    document = json.loads((base / INDEX_FILE).read_text())
    del document["weight_map"]["model.norm.weight"]
    (base / INDEX_FILE).write_text(json.dumps(document))


def with_a_single_file(base: Path) -> None:
    shutil.copyfile(base / FIRST, base / "model.safetensors")


def with_a_link(base: Path) -> None:
    (base.parent / "secret").write_text("secret")
    (base / "NOTICE").symlink_to(base.parent / "secret")


def nested(base: Path) -> None:
    (base / "config.json").write_text("[" * 100_000)


def empty_map(base: Path) -> None:
    (base / INDEX_FILE).write_text('{"weight_map": {}}')


SPOILT: dict[str, tuple[Callable[[Path], None], type[StageError], str]] = {
    "traversal": (
        pointing("../../x.safetensors"),
        ArtifactMismatch,
        f"{INDEX_FILE} names '../../x.safetensors', which is no safetensors file of this folder",
    ),
    "absolute": (
        pointing("/x.safetensors"),
        ArtifactMismatch,
        f"{INDEX_FILE} names '/x.safetensors', which is no safetensors file of this folder",
    ),
    "escapes": (
        pointing("..%2Fx.safetensors"),
        ArtifactMismatch,
        f"{INDEX_FILE} names '..%2Fx.safetensors', which is not there",
    ),
    "missing": (
        pointing("x.safetensors"),
        ArtifactMismatch,
        f"{INDEX_FILE} names x.safetensors, which is not there",
    ),
    "another file": (
        pointing(FIRST),
        ArtifactMismatch,
        f"{INDEX_FILE}: model.norm.weight is said to lie in {FIRST}, but lies in {SECOND}",
    ),
    "not named": (
        without_a_tensor,
        ArtifactMismatch,
        f"{INDEX_FILE}: model.norm.weight of {SECOND} is not named",
    ),
    "empty": (empty_map, ArtifactMismatch, f"{INDEX_FILE} is no index of weights: its weight_map is empty"),
    "two forms": (
        with_a_single_file,
        ConfigInvalid,
        f"has both model.safetensors and {INDEX_FILE} with other files: readers differ in which they load",
    ),
    "a link": (with_a_link, ConfigInvalid, "NOTICE is a symbolic link out of its folder, to {parent}/secret"),
    "nested": (nested, ConfigInvalid, "config.json is no JSON: maximum recursion depth exceeded"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_what_is_no_base_is_refused_with_the_reason(name: str, base: Path) -> None:
    spoil, kind, reason = SPOILT[name]
    spoil(base)
    with pytest.raises(kind) as caught:
        index_base(FileStore(), folder_uri(base), None)
    assert reason.replace("{parent}", str(base.parent)) in caught.value.message
    assert caught.value.remedy


def test_objects_that_show_folders_are_no_files(base: Path, s3: StorageSpec) -> None:
    store = open_store(s3)
    folder = f"{s3.artifacts_uri}base/"
    for path in base.iterdir():
        store.put(folder + path.name, path.read_bytes())
    plain = index_base(store, folder, None)
    store.put(folder, b"")
    assert "" not in find_checkpoint_files(store, folder).others
    assert index_base(store, folder, None).digest == plain.digest


def test_an_index_that_was_kept_and_broke_is_told(base: Path, tmp_path: Path) -> None:
    artifacts = folder_uri(tmp_path / "artifacts")
    index_base(FileStore(), folder_uri(base), artifacts)
    (kept,) = (tmp_path / "artifacts" / "index").glob("*.json")
    kept.write_bytes(kept.read_bytes()[:-9])
    with pytest.raises(ArtifactMismatch, match="is no index of a base") as caught:
        index_base(FileStore(), folder_uri(base), artifacts)
    assert caught.value.remedy == "Delete it; the base is then read again."
    assert index_uri(artifacts, f"sha256:{kept.stem}") in caught.value.message

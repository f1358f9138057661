"""What ranks are handed of a base holds no weights, and is what was indexed."""

from pathlib import Path

import pytest
from tests.run_specs import arm_run_spec, write_sums
from tests.tiny_models import build_checkpoint

from paft_api.run_spec import NodeCache, RunSpec
from paft_api.spec.storage import StorageSpec
from paft_trainer.base.index import index_base
from paft_trainer.base.local_base import read_local_base, write_local_base
from paft_trainer.errors import StageError
from paft_trainer.storage import open_store
from paft_trainer.storage.file_store import FileStore, uri_of


def run_spec_of(root: Path, base: Path, storage: StorageSpec, uri: str, cache: Path | None = None) -> RunSpec:
    write_sums(root)
    run_spec = arm_run_spec("sft", base=base, data=root / "chats.jsonl", artifacts=root / "arm")
    node_cache = None if cache is None else NodeCache(directory=str(cache), max_bytes=10_000_000)
    return run_spec.model_copy(
        update={"base": run_spec.base.model_copy(update={"uri": uri}), "storage": storage, "base_cache": node_cache}
    )


def test_small_files_and_index_arrive_and_weights_do_not(tmp_path: Path, storage: StorageSpec) -> None:
    store = open_store(storage)
    base = build_checkpoint(tmp_path / "base", max_shard_size="20KB")
    uri = storage.artifacts_uri.replace("/artifacts/", "/bases/tiny/")
    for path in base.iterdir():
        store.put(uri + path.name, path.read_bytes())
    index = index_base(store, uri, storage.artifacts_uri)
    run_spec = run_spec_of(tmp_path, base, storage, uri)

    folder = write_local_base(store, run_spec, index, tmp_path / "attempt" / "base")

    names = {path.name for path in folder.iterdir()}
    assert not any("safetensors" in name for name in names)
    for name in ("config.json", "tokenizer.json", "generation_config.json"):
        assert (folder / name).read_bytes() == (base / name).read_bytes()
    local = read_local_base(storage.artifacts_uri, folder)
    assert (local.folder, local.index) == (folder, index)
    assert local.pieces.base_digest == index.digest
    assert len(local.pieces.files) > 1


def test_a_tokenizer_that_changed_since_is_refused(tmp_path: Path, local_storage: StorageSpec) -> None:
    store, base = open_store(local_storage), build_checkpoint(tmp_path / "base")
    uri = uri_of(base) + "/"
    index = index_base(store, uri, local_storage.artifacts_uri)
    run_spec = run_spec_of(tmp_path, base, local_storage, uri)
    (base / "tokenizer.json").write_text("{}")
    with pytest.raises(StageError, match=r"tokenizer\.json"):
        write_local_base(store, run_spec, index, tmp_path / "attempt")


class CountingStore(FileStore):
    """Tells which objects were read."""

    def __init__(self) -> None:
        super().__init__()
        self.read_uris: list[str] = []

    def read_range(self, uri: str, start: int, size: int, *, etag: str | None = None) -> bytes:
        self.read_uris.append(uri)
        return super().read_range(uri, start, size, etag=etag)


def test_the_second_arm_on_a_node_with_a_cache_fetches_nothing(tmp_path: Path, local_storage: StorageSpec) -> None:
    base, store = build_checkpoint(tmp_path / "base"), CountingStore()
    index = index_base(store, uri_of(base) + "/", local_storage.artifacts_uri)
    run_spec = run_spec_of(tmp_path, base, local_storage, uri_of(base) + "/", tmp_path / "cache")
    first = write_local_base(store, run_spec, index, tmp_path / "first")
    store.read_uris.clear()
    second = write_local_base(store, run_spec, index, tmp_path / "second")
    assert store.read_uris == []
    assert {path.name: path.read_bytes() for path in second.iterdir()} == {
        path.name: path.read_bytes() for path in first.iterdir()
    }

    kept = max((tmp_path / "cache").rglob("*"), key=lambda path: path.stat().st_size)
    kept.write_bytes(b"\0" * kept.stat().st_size)
    third = write_local_base(store, run_spec, index, tmp_path / "third")
    assert len(store.read_uris) == 1
    assert (third / "tokenizer.json").read_bytes() == (base / "tokenizer.json").read_bytes()
    assert read_local_base(local_storage.artifacts_uri, third).index == index


def test_a_cache_that_cannot_be_used_is_passed_by(
    tmp_path: Path, local_storage: StorageSpec, capsys: pytest.CaptureFixture[str]
) -> None:
    base, store = build_checkpoint(tmp_path / "base"), open_store(local_storage)
    index = index_base(store, uri_of(base) + "/", local_storage.artifacts_uri)
    (tmp_path / "cache").write_text("no folder")
    run_spec = run_spec_of(tmp_path, base, local_storage, uri_of(base) + "/", tmp_path / "cache")
    folder = write_local_base(store, run_spec, index, tmp_path / "attempt")
    assert (folder / "config.json").exists()
    assert f"{tmp_path}/cache: the node's cache cannot be used" in capsys.readouterr().out

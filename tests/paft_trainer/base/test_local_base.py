"""What ranks are handed of a base holds no weights, and is what was indexed."""

from pathlib import Path

import pytest
from tests.tiny_models import build_checkpoint

from paft_api.spec.storage import StorageSpec
from paft_trainer.base.index import index_base
from paft_trainer.base.local_base import read_local_base, write_local_base
from paft_trainer.errors import StageError
from paft_trainer.storage import open_store
from paft_trainer.storage.file_store import uri_of


def test_small_files_and_index_arrive_and_weights_do_not(tmp_path: Path, storage: StorageSpec) -> None:
    store = open_store(storage)
    base = build_checkpoint(tmp_path / "base", max_shard_size="20KB")
    uri = storage.artifacts_uri.replace("/artifacts/", "/bases/tiny/")
    for path in base.iterdir():
        store.put(uri + path.name, path.read_bytes())
    index = index_base(store, uri, storage.artifacts_uri)

    folder = write_local_base(store, uri, storage.artifacts_uri, index, tmp_path / "attempt" / "base")

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
    (base / "tokenizer.json").write_text("{}")
    with pytest.raises(StageError, match=r"tokenizer\.json"):
        write_local_base(store, uri, local_storage.artifacts_uri, index, tmp_path / "attempt")

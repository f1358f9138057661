"""One store for all sources of a stage: each is reached in its own way."""

from pathlib import Path
from typing import Any

import pytest
from hack import seaweedfs
from tests.conftest import BUCKET
from tests.paft_trainer.prepare.jobs import prepare_run_spec

from paft_api.run_spec import RunSpec, SecretFolder
from paft_api.spec.storage import StorageSpec
from paft_trainer.storage import ObjectStore, StorageAuth, open_run_store, open_store


@pytest.fixture
def others(s3: StorageSpec, s3_server: seaweedfs.S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Secret's folder with the right keys; those in the environment are wrong from here on."""
    uri = f"{s3.artifacts_uri}base/config.json"
    store = open_store(s3)
    store.put(uri, b"{}")
    store.put(f"{s3.artifacts_uri}rows.jsonl", b"row")
    folder = tmp_path / "credentials" / "models"
    folder.mkdir(parents=True)
    for name, value in s3_server.environment.items():
        (folder / name).write_text(value + "\n")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-it")
    return folder


def _run_spec(root: Path, s3: StorageSpec, folder: Path, **changes: Any) -> RunSpec:
    base = {"uri": f"{s3.artifacts_uri}base/", "secretRef": {"name": "models"}}
    told = prepare_run_spec(root, s3.to_document(), base=base, **changes)
    credentials = (SecretFolder(secret_name="models", directory=str(folder)),)
    return told.model_copy(update={"credentials": credentials})


def test_a_source_with_its_own_secret_is_read_though_storage_is_refused(
    others: Path, s3: StorageSpec, tmp_path: Path
) -> None:
    store = open_run_store(_run_spec(tmp_path, s3, others))

    assert store.read(f"{s3.artifacts_uri}base/config.json") == b"{}"
    assert [info.size for info in store.list(f"{s3.artifacts_uri}base/")] == [2]
    with pytest.raises(StorageAuth):
        store.read(f"{s3.artifacts_uri}rows.jsonl")
    with pytest.raises(StorageAuth):
        store.put(f"{s3.artifacts_uri}base-index.json", b"")


def test_keys_that_are_exchanged_are_used_from_then_on(others: Path, s3: StorageSpec, tmp_path: Path) -> None:
    store, uri = open_run_store(_run_spec(tmp_path, s3, others)), f"{s3.artifacts_uri}base/config.json"
    secret = (others / "AWS_SECRET_ACCESS_KEY").read_text()
    (others / "AWS_SECRET_ACCESS_KEY").write_text("outdated")
    with pytest.raises(StorageAuth):
        store.read(uri)

    (others / "AWS_SECRET_ACCESS_KEY").write_text(secret)

    assert store.read(uri) == b"{}"


def test_one_file_may_be_a_source_of_its_own(others: Path, s3: StorageSpec, tmp_path: Path) -> None:
    rows = {"uri": f"{s3.artifacts_uri}rows.jsonl", "format": "messages", "secretRef": {"name": "models"}}
    told = _run_spec(tmp_path, s3, others, sft__data={"train": [rows]})
    store = open_run_store(told)

    assert store.of_source(told.sources["spec.sft.data.train[0]"]).read(rows["uri"]) == b"row"
    with pytest.raises(StorageAuth):
        store.head(f"{rows['uri']}.sha256")


def test_what_lies_in_a_source_and_is_ours_is_reached_as_storage(others: Path, s3: StorageSpec, tmp_path: Path) -> None:
    everywhere = {"uri": f"s3://{BUCKET}/", "secretRef": {"name": "models"}}
    document = _run_spec(tmp_path, s3, others).to_document() | {"base": everywhere}
    store = open_run_store(RunSpec.model_validate(document, strict=False))

    assert _may_read(store, f"s3://{BUCKET}/elsewhere")
    assert not _may_read(store, f"{s3.artifacts_uri}base/config.json")


def test_files_are_files_whatever_is_said_of_servers(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "config.json").write_text("{}")
    storage = {"artifactsUri": f"file://{tmp_path}/artifacts/"}
    told = prepare_run_spec(tmp_path, storage, base={"uri": f"file://{tmp_path}/base/", "anonymous": True})

    assert open_run_store(told).read(f"file://{tmp_path}/base/config.json") == b"{}"


def _may_read(store: ObjectStore, uri: str) -> bool:
    try:
        store.head(uri)
    except StorageAuth:
        return False
    return True

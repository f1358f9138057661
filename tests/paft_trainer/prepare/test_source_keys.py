"""Sources of one address, each with keys of its own: on a server with two users, of whom one may read little."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hack import seaweedfs
from tests.conftest import BUCKET, READER, READER_BUCKET
from tests.paft_trainer.prepare.jobs import findings_of, prepare_run_spec, run_prepare
from tests.run_specs import write_sums
from tests.tiny_models import build_checkpoint

from paft_api.run_spec import RunSpec, SecretFolder
from paft_api.spec.storage import StorageSpec
from paft_trainer.storage import StorageAuth, open_run_store, open_store

OWNER = "owner"
"""Secret of the server's administrator."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("keys")
    build_checkpoint(root / "base")
    write_sums(root)
    return root


@pytest.fixture
def credentials(s3_server: seaweedfs.S3Server, tmp_path: Path) -> tuple[SecretFolder, ...]:
    """A mounted Secret for each user."""
    keys = {OWNER: (s3_server.access_key, s3_server.secret_key), READER: s3_server.users[READER]}
    for name, (access_key, secret_key) in keys.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "AWS_ACCESS_KEY_ID").write_text(access_key)
        (tmp_path / name / "AWS_SECRET_ACCESS_KEY").write_text(secret_key)
    return tuple(SecretFolder(secret_name=name, directory=str(tmp_path / name)) for name in keys)


def job(root: Path, s3: StorageSpec, credentials: tuple[SecretFolder, ...], uri: str, names: Sequence[str]) -> RunSpec:
    """Chats are read from one address as often as there are names of Secrets."""
    open_store(s3).put(uri, (root / "chats.jsonl").read_bytes())
    train = [{"uri": uri, "format": "messages", "secretRef": {"name": name}} for name in names]
    told = prepare_run_spec(root, s3.to_document(), sft__data={"train": train})
    return told.model_copy(update={"credentials": credentials})


@pytest.mark.parametrize("names", [(OWNER, READER), (READER, OWNER)])
def test_each_source_is_read_with_its_own_keys(
    root: Path, s3: StorageSpec, credentials: tuple[SecretFolder, ...], names: Sequence[str]
) -> None:
    """Whichever comes first, the one who may not read is found, before any arm starts."""
    uri = f"{s3.artifacts_uri}rows/chats.jsonl"
    told = job(root, s3, credentials, uri, names)
    ((cause, field, message),) = findings_of(told)
    assert (cause, field) == ("StorageAuth", f"spec.sft.data.train[{names.index(READER)}].uri")
    assert message.startswith(uri)
    store, sources = open_run_store(told), told.sources
    assert store.of_source(sources[f"spec.sft.data.train[{names.index(OWNER)}]"]).head(uri) is not None
    with pytest.raises(StorageAuth):
        store.of_source(sources[f"spec.sft.data.train[{names.index(READER)}]"]).head(uri)


def test_what_both_may_read_is_read_with_both(
    root: Path, s3: StorageSpec, credentials: tuple[SecretFolder, ...]
) -> None:
    folder = s3.artifacts_uri.removeprefix(f"s3://{BUCKET}/")
    told = job(root, s3, credentials, f"s3://{READER_BUCKET}/{folder}chats.jsonl", (OWNER, READER))
    assert run_prepare(told).sft.rows == 96

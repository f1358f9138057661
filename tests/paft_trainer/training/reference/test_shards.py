"""Shards of reference log-probabilities in the object store: whole, ours, and written once."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from paft_api.spec.storage import StorageSpec
from paft_trainer.storage import ObjectStore, OperationUnsupported, open_store
from paft_trainer.storage.file_store import FileStore, path_of
from paft_trainer.training.reference.shards import ReferenceShards, shard_rows

DIGEST, OTHER_DIGEST = "sha256:" + "a" * 64, "sha256:" + "b" * 64
ROWS = range(16, 20)
VALUES = torch.tensor([[-1.5, -2.25, -3.0, -4.0], [-5.0, -6.0, -7.0, -8.125]])


def shards_in(folder: str, store: ObjectStore, *, digest: str = DIGEST, unconditional: bool = False) -> ReferenceShards:
    return ReferenceShards(store, folder, digest, allow_unconditional=unconditional)


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return f"file://{tmp_path}/reference/"


@given(rows=st.integers(1, 100_000))
def test_shards_cover_all_rows_once_and_are_few(rows: int) -> None:
    ranges = shard_rows(rows)

    assert [row for one in ranges for row in (one.start, one.stop)] == [
        0,
        *(edge for one in ranges[:-1] for edge in (one.stop, one.stop)),
        rows,
    ]
    assert len(ranges) <= 256
    assert all(len(one) >= 16 for one in ranges[:-1])


def test_what_is_published_is_read_back_from_either_store(storage: StorageSpec) -> None:
    shards = shards_in(f"{storage.artifacts_uri}reference/", open_store(storage))

    assert shards.read(ROWS) is None
    assert torch.equal(shards.publish(ROWS, VALUES), VALUES)
    read = shards.read(ROWS)
    assert read is not None
    assert torch.equal(read, VALUES)


def test_a_shard_is_a_safetensors_file(folder: str) -> None:
    shards_in(folder, FileStore()).publish(ROWS, VALUES)

    tensors = load_file(path_of(folder) / "rows-0000000016-0000000020.safetensors")
    assert torch.equal(tensors["ref_chosen_logps"], VALUES[0])
    assert torch.equal(tensors["ref_rejected_logps"], VALUES[1])


@pytest.mark.parametrize("break_", ["truncate", "flip", "empty"])
def test_a_torn_shard_is_missing_and_is_replaced(break_: str, folder: str) -> None:
    shards = shards_in(folder, FileStore())
    shards.publish(ROWS, VALUES)
    file = path_of(folder) / "rows-0000000016-0000000020.safetensors"
    content = bytearray(file.read_bytes())
    match break_:
        case "truncate":
            content = content[:-4]
        case "flip":
            content[-1] ^= 1
        case "empty":
            content = bytearray()
    file.write_bytes(bytes(content))

    assert shards.read(ROWS) is None
    shards.publish(ROWS, VALUES)
    assert shards.read(ROWS) is not None


def test_a_shard_of_other_rows_or_of_something_else_is_not_taken(folder: str) -> None:
    shards_in(folder, FileStore(), digest=OTHER_DIGEST).publish(ROWS, VALUES)
    assert shards_in(folder, FileStore()).read(ROWS) is None

    file = path_of(folder) / "rows-0000000016-0000000020.safetensors"
    file.rename(path_of(folder) / "rows-0000000020-0000000024.safetensors")
    assert shards_in(folder, FileStore(), digest=OTHER_DIGEST).read(range(20, 24)) is None


def test_whoever_is_first_decides_for_both(folder: str) -> None:
    first, second = VALUES, VALUES + 1e-6
    shards = shards_in(folder, FileStore())
    shards.publish(ROWS, first)

    assert torch.equal(shards.publish(ROWS, second), first)
    read = shards.read(ROWS)
    assert read is not None
    assert torch.equal(read, first)


class Unconditional(FileStore):
    """A store that knows no conditional writes."""

    def put(self, uri: str, data: bytes, *, only_if_absent: bool = False) -> None:
        if only_if_absent:
            raise OperationUnsupported(f"{uri}: no conditional writes")
        super().put(uri, data)


def test_a_store_without_conditions_is_used_only_where_that_is_allowed(folder: str) -> None:
    with pytest.raises(OperationUnsupported):
        shards_in(folder, Unconditional()).publish(ROWS, VALUES)

    shards = shards_in(folder, Unconditional(), unconditional=True)
    shards.publish(ROWS, VALUES)
    assert shards.read(ROWS) is not None

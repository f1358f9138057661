"""The same bytes whatever the machine: chunks, workers, merges beside it, interruptions. And errors that end it all."""

import itertools
import threading
from functools import partial
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.merged_checkpoints import (
    SWEEP,
    CountingArithmetic,
    SmallModel,
    all_bytes,
    merge_checkpoint,
    small_model,
)
from tests.merges import FailingStore, Interrupted, folder_bytes

from paft_api.layout import SHARD_RECORD_PREFIX
from paft_trainer.adapters import Factors
from paft_trainer.merge import model_answers, tensor_work
from paft_trainer.merge.arithmetic import Delta
from paft_trainer.merge.base_hashes import BaseHashes
from paft_trainer.merge.cpu_arithmetic import CpuArithmetic
from paft_trainer.merge.rows import Rows
from paft_trainer.storage.file_store import FileStore

pytestmark = pytest.mark.timeout(120)

DTYPES = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, SmallModel]:
    root = tmp_path_factory.mktemp("models")
    return {name: small_model(root / name, dtype) for name, dtype in DTYPES.items()}


@pytest.fixture(scope="module")
def wholes(models: dict[str, SmallModel], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One sweep of everything for each dtype, which nothing interrupted."""
    root = tmp_path_factory.mktemp("wholes")
    for name, model in models.items():
        merge_checkpoint(model, root / name, SWEEP)
    return {name: root / name for name in models}


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of a few rows, so that small tensors have several."""
    for module in (model_answers, tensor_work):
        monkeypatch.setattr(module, "BLOCK_ELEMENTS", 5 * 17)


def test_every_merge_changes_something_of_its_own(wholes: dict[str, Path]) -> None:
    content = [tuple(sorted(folder_bytes(wholes["F32"] / name).items())) for name in SWEEP]
    assert len(set(content)) == len(SWEEP)
    assert all(len(files) > 6 for files in content)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("workers", "chunk_elements"), [(1, 1), (2, 100), (5, 1), (5, 7 * 17), (2, 10**6)])
def test_workers_and_chunks_do_not_change_a_bit(
    models: dict[str, SmallModel],
    wholes: dict[str, Path],
    tmp_path: Path,
    dtype: str,
    workers: int,
    chunk_elements: int,
) -> None:
    merge_checkpoint(models[dtype], tmp_path, SWEEP, workers=workers, chunk_elements=chunk_elements)
    assert all_bytes(tmp_path, [*SWEEP]) == all_bytes(wholes[dtype], [*SWEEP])


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("chunk_elements", [1, 11 * 17, 10**6])
def test_nor_do_blocks(
    models: dict[str, SmallModel], wholes: dict[str, Path], tmp_path: Path, chunk_elements: int
) -> None:
    merge_checkpoint(models["BF16"], tmp_path, SWEEP, chunk_elements=chunk_elements)
    assert all_bytes(tmp_path, [*SWEEP]) == all_bytes(wholes["BF16"], [*SWEEP])


@pytest.mark.parametrize("name", SWEEP)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_merge_alone_is_what_it_is_beside_others(
    models: dict[str, SmallModel], wholes: dict[str, Path], tmp_path: Path, dtype: str, name: str
) -> None:
    merge_checkpoint(models[dtype], tmp_path, {name: SWEEP[name]})
    assert folder_bytes(tmp_path / name) == folder_bytes(wholes[dtype] / name)


def test_deltas_are_computed_once_for_all_candidates_and_the_base_is_read_once(
    models: dict[str, SmallModel], tmp_path: Path
) -> None:
    names = ["linear", "by-layer", "dare-ties", "della", "slerp", "model-stock", "sft"]
    arithmetic, store = CountingArithmetic(), FailingStore(FileStore())
    sweep = {name: SWEEP[name] for name in names}
    merge_checkpoint(models["F32"], tmp_path, sweep, arithmetic=arithmetic, store=store, chunk_elements=100)
    shapes = {module: one.shape for arm in (models["F32"].sft, models["F32"].preference) for module, one in arm.items()}
    assert arithmetic.entries == 2 * sum(rows * columns for rows, columns in shapes.values())
    ends = sorted((start, start + size) for _, start, size in store.ranges)
    assert all(before[1] == after[0] for before, after in itertools.pairwise(ends))
    assert ends[-1][1] == (models["F32"].folder / "model.safetensors").stat().st_size


INTERRUPTED = {name: SWEEP[name] for name in ("ties-model", "slerp-whole", "sce")}


def test_shards_that_are_there_are_not_computed_again(models: dict[str, SmallModel], tmp_path: Path) -> None:
    model = models["BF16"]
    figures = merge_checkpoint(model, tmp_path, INTERRUPTED)
    whole = all_bytes(tmp_path, [*INTERRUPTED])
    again = CountingArithmetic()
    assert merge_checkpoint(model, tmp_path, INTERRUPTED, arithmetic=again) == figures
    assert again.entries == 0
    shards = sorted(path for path in (tmp_path / "sce").iterdir() if path.suffix == ".safetensors")
    assert len(shards) > 2
    records = (partial(_write_record, text) for text in ("{", "null", "[]", "{}", '{"name": 1, "figures": [7]}'))
    for spoil in (_flip, _truncate, Path.unlink, *records):
        spoil(shards[1])
        one = CountingArithmetic()
        sce = {"sce": INTERRUPTED["sce"]}
        assert merge_checkpoint(model, tmp_path, sce, arithmetic=one) == {"sce": figures["sce"]}
        # SCE looks at a tensor three times before it merges it, and one shard of several was spoilt.
        everything = 4 * 2 * sum(factors.shape[0] * factors.shape[1] for factors in model.sft.values())
        assert 0 < one.entries < everything / 2
        assert all_bytes(tmp_path, [*INTERRUPTED]) == whole


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _write_record(text: str, path: Path) -> None:
    path.with_name(f"{SHARD_RECORD_PREFIX}{path.name}.json").write_text(text)


@pytest.mark.parametrize("after", [False, True])
def test_stopped_at_any_change_it_goes_on_and_ends_with_the_same_bytes(
    models: dict[str, SmallModel], tmp_path: Path, after: bool
) -> None:
    model = models["F16"]
    counted = FailingStore(FileStore())
    figures = merge_checkpoint(model, tmp_path / "whole", INTERRUPTED, store=counted)
    whole = all_bytes(tmp_path / "whole", [*INTERRUPTED])
    for change in range(len(counted.changes)):
        folder = tmp_path / str(change)
        store = FailingStore(FileStore(), fail_at=change, after=after)
        with pytest.raises(Interrupted):
            merge_checkpoint(model, folder, INTERRUPTED, store=store)
        assert merge_checkpoint(model, folder, INTERRUPTED) == figures
        assert all_bytes(folder, [*INTERRUPTED]) == whole


class StoreThatCannotRead(FailingStore):
    """A store whose n-th read of a range fails."""

    def __init__(self, read: int) -> None:
        super().__init__(FileStore())
        self._read = read
        self._lock = threading.Lock()

    def read_range(self, uri: str, start: int, size: int, *, etag: str | None = None) -> bytes:
        """As a file's, until it fails."""
        with self._lock:
            if len(self.ranges) == self._read:
                raise Interrupted(uri)
            return super().read_range(uri, start, size, etag=etag)


class ArithmeticThatFails(CpuArithmetic):
    """A computation that fails at the n-th delta."""

    def __init__(self, at: int) -> None:
        self._left = at
        self._lock = threading.Lock()

    def delta(self, factors: Factors | None, rows: Rows) -> Delta:
        """As the CPU's, until it fails."""
        with self._lock:
            self._left -= 1
            if self._left < 0:
                raise Interrupted("delta")
        return super().delta(factors, rows)


@settings(max_examples=25)
@given(st.integers(0, 60), st.sampled_from([1, 2, 5]), st.sampled_from(["read", "compute", "write"]))
def test_wherever_it_fails_the_error_comes_up_and_no_thread_is_left(
    models: dict[str, SmallModel],
    tmp_path_factory: pytest.TempPathFactory,
    at: int,
    workers: int,
    what: str,
) -> None:
    folder = tmp_path_factory.mktemp("fails")
    store = {
        "read": StoreThatCannotRead(at),
        "write": FailingStore(FileStore(), fail_at=at % 20),
        "compute": FailingStore(FileStore()),
    }[what]
    arithmetic = ArithmeticThatFails(at) if what == "compute" else CpuArithmetic()
    with pytest.raises(Interrupted), BaseHashes() as hashes:
        merge_checkpoint(
            models["BF16"],
            folder,
            INTERRUPTED,
            store=store,
            arithmetic=arithmetic,
            workers=workers,
            chunk_elements=7 * 17,
            hashes=hashes,
        )
    names = ("merge", "read", "write", "hash")
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(names)]


def test_progress_adds_up_to_the_base(models: dict[str, SmallModel], tmp_path: Path) -> None:
    done: list[tuple[int, bool]] = []
    model = models["BF16"]
    merge_checkpoint(
        model,
        tmp_path,
        INTERRUPTED,
        chunk_elements=50,
        progress=lambda size, *, ends_tensor: done.append((size, ends_tensor)),
    )
    tensors = model.inputs(FileStore()).base.tensors
    assert sum(size for size, _ in done) == sum(tensor.entry.size for tensor in tensors)
    assert sum(ends for _, ends in done) == len(tensors)


def test_the_base_is_hashed_on_its_way(models: dict[str, SmallModel], tmp_path: Path) -> None:
    with BaseHashes() as whole:
        merge_checkpoint(models["BF16"], tmp_path / "whole", INTERRUPTED, hashes=whole)
    content = FailingStore(FileStore(), fail_at=8)
    with pytest.raises(Interrupted), BaseHashes() as hashes:
        merge_checkpoint(models["BF16"], tmp_path / "half", INTERRUPTED, hashes=hashes, store=content)
    assert len(whole.sha256) == len(models["BF16"].inputs(FileStore()).base.tensors)
    assert hashes.sha256.items() <= whole.sha256.items()

"""Checkpoints in storage: complete or not there, the newest one of any attempt, and those that are let go."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.merges import FailingStore, Interrupted
from tests.saved_checkpoints import save_checkpoint

from paft_api.layout import CHECKPOINT_MANIFEST_FILE
from paft_api.spec.storage import StorageSpec
from paft_trainer.keeping.saved_checkpoints import SavedCheckpoint, delete_checkpoint, list_checkpoints, superseded
from paft_trainer.storage import ObjectStore, open_store
from paft_trainer.storage.file_store import FileStore
from paft_trainer.training.adapter_state import AdapterState
from paft_trainer.training.checkpoints.checkpoint import (
    Checkpoint,
    TrainerPosition,
    load_checkpoint,
    load_newest_checkpoint,
)

NAME = "model.layers.0.self_attn.q_proj.lora_A.default.weight"


def checkpoint(step: int) -> Checkpoint:
    """Of a training that has come so far; every number depends on the step."""
    weight = torch.full((2, 3), step / 7)
    return Checkpoint(
        position=TrainerPosition(step=step, scheduler={"last_epoch": step, "_last_lr": [1e-3]}, history={"a": 1.5}),
        adapter=AdapterState(
            weights={NAME: weight},
            moments={"exp_avg": {NAME: weight / 3}, "exp_avg_sq": {NAME: weight * weight}},
            adam_step=step,
        ),
        rng={0: {"cpu": torch.arange(step, dtype=torch.uint8)}, 1: {"cpu": torch.ones(5, dtype=torch.uint8)}},
    )


def content(checkpoint: Checkpoint) -> tuple[Any, ...]:
    """All of it, in a form that can be compared."""
    adapter = checkpoint.adapter
    moments = {moment: {name: t.tolist() for name, t in whole.items()} for moment, whole in adapter.moments.items()}
    rng = {rank: {name: t.tolist() for name, t in states.items()} for rank, states in checkpoint.rng.items()}
    weights = {name: t.tolist() for name, t in adapter.weights.items()}
    return checkpoint.position, adapter.adam_step, weights, moments, rng


@pytest.fixture
def folder(local_storage: StorageSpec) -> str:
    """The folder of all attempts at an arm."""
    return f"{local_storage.artifacts_uri}sft/attempts/"


def save(store: ObjectStore, folder: str, attempt: str, step: int, eval_loss: float | None = None) -> SavedCheckpoint:
    return save_checkpoint(store, f"{folder}{attempt}/", checkpoint(step), eval_loss=eval_loss)


def test_what_is_read_is_what_was_saved_and_the_newest_of_any_attempt_is_taken(storage: StorageSpec) -> None:
    store, folder = open_store(storage), f"{storage.artifacts_uri}sft/attempts/"
    assert load_newest_checkpoint(store, folder) is None
    save(store, folder, "uid-2", 8)
    newest = save(store, folder, "another-1", 12, 1.25)
    save(store, folder, "uid-3", 10)
    found = load_newest_checkpoint(store, folder)
    assert found is not None
    assert found[0] == newest
    assert content(found[1]) == content(checkpoint(12))
    assert [saved.step for saved in list_checkpoints(store, folder)] == [12, 10, 8]


def test_a_checkpoint_before_the_first_step_has_no_moments(folder: str) -> None:
    first = checkpoint(0)
    untouched = Checkpoint(
        position=first.position,
        adapter=AdapterState(weights=first.adapter.weights, moments={}, adam_step=0),
        rng=first.rng,
    )
    saved = save_checkpoint(FileStore(), folder, untouched, eval_loss=None)
    loaded = load_checkpoint(FileStore(), saved)
    assert loaded is not None
    assert content(loaded) == content(untouched)


@pytest.mark.parametrize("after", [False, True])
def test_a_kill_at_any_moment_of_saving_leaves_the_one_before(folder: str, after: bool) -> None:
    whole = FailingStore(FileStore())
    save(whole, f"{folder}probe/", "uid-1", 5)
    assert whole.changes[-1].endswith(CHECKPOINT_MANIFEST_FILE)
    assert len(whole.changes) == 4
    for change in range(len(whole.changes)):
        attempts = f"{folder}{change}/"
        save(FileStore(), attempts, "uid-1", 4)
        with pytest.raises(Interrupted):
            save(FailingStore(FileStore(), fail_at=change, after=after), attempts, "uid-1", 5)
        found = load_newest_checkpoint(FileStore(), attempts)
        assert found is not None
        is_complete = after and change == len(whole.changes) - 1
        assert content(found[1]) == content(checkpoint(5 if is_complete else 4))
        save(FileStore(), attempts, "uid-1", 5)
        again = load_newest_checkpoint(FileStore(), attempts)
        assert again is not None
        assert content(again[1]) == content(checkpoint(5))


def cut_weights(folder: Path) -> None:
    path = folder / "part-00000-of-00002.safetensors"
    path.write_bytes(path.read_bytes()[:-1])


def change_moments(folder: Path) -> None:
    path = folder / "part-00001-of-00002.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


SPOILT: dict[str, Callable[[Path], object]] = {
    "weights cut off": cut_weights,
    "moments changed": change_moments,
    "part gone": lambda folder: (folder / "part-00001-of-00002.safetensors").unlink(),
    "position changed": lambda folder: (folder / "trainer_state.json").write_text("{}"),
    "manifest cut off": lambda folder: (folder / CHECKPOINT_MANIFEST_FILE).write_text('{"formatVersion": 1, "st'),
    "manifest empty": lambda folder: (folder / CHECKPOINT_MANIFEST_FILE).write_text(""),
    "manifest gone": lambda folder: (folder / CHECKPOINT_MANIFEST_FILE).unlink(),
    "later format": lambda folder: (folder / CHECKPOINT_MANIFEST_FILE).write_text(
        '{"formatVersion": 3, "step": 5, "files": {}}'
    ),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT.keys())
def test_a_torn_checkpoint_is_passed_over(folder: str, tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    save(FileStore(), folder, "uid-1", 4)
    save(FileStore(), folder, "uid-2", 5)
    spoil(tmp_path / "artifacts" / "sft" / "attempts" / "uid-2" / "checkpoints" / "step-00000005")
    found = load_newest_checkpoint(FileStore(), folder)
    assert found is not None
    assert content(found[1]) == content(checkpoint(4))


def test_a_checkpoint_that_its_attempt_removes_meanwhile_is_passed_over(folder: str) -> None:
    save(FileStore(), folder, "uid-1", 4)
    removed = save(FileStore(), folder, "uid-2", 5)

    class Racing(FileStore):
        def read(self, uri: str) -> bytes:
            delete_checkpoint(FileStore(), removed)
            return super().read(uri)

    found = load_newest_checkpoint(Racing(), folder)
    assert found is not None
    assert found[0].step == 4


def test_one_that_is_saved_while_the_only_one_is_removed_is_found(folder: str) -> None:
    """As by the retention of another job's attempt."""
    removed = save(FileStore(), folder, "uid-2", 5)

    class Racing(FileStore):
        def read(self, uri: str) -> bytes:
            if uri.endswith(".safetensors") and FileStore().head(removed.folder + CHECKPOINT_MANIFEST_FILE) is not None:
                save(FileStore(), folder, "other-1", 6)
                delete_checkpoint(FileStore(), removed)
            return super().read(uri)

    found = load_newest_checkpoint(Racing(), folder)
    assert found is not None
    assert found[0].step == 6


def test_a_checkpoint_that_lacks_a_file_does_not_count(folder: str) -> None:
    """Else training.keep would let go of a good one for it."""
    save(FileStore(), folder, "uid-1", 4)
    torn = save(FileStore(), folder, "uid-1", 5)
    FileStore().delete(f"{torn.folder}part-00000-of-00002.safetensors")
    assert [saved.step for saved in list_checkpoints(FileStore(), folder)] == [4]


def entry(step: int, eval_loss: float | None = None) -> SavedCheckpoint:
    return SavedCheckpoint(folder=f"step-{step}/", step=step, eval_loss=eval_loss, sha256_by_name={})


@pytest.mark.parametrize(
    ("last", "best", "gone"),
    [
        (1, 0, [40, 30, 20, 10]),
        (2, 0, [30, 20, 10]),
        (2, 1, [30, 10]),
        (2, 2, [30]),
        (1, 3, [30]),
        (9, 0, []),
    ],
)
def test_the_last_and_the_best_stay(last: int, best: int, gone: list[int]) -> None:
    losses = {10: 1.5, 20: 1.0, 30: None, 40: 1.75, 50: None}
    saved = [entry(step, loss) for step, loss in losses.items()]
    assert [let_go.step for let_go in superseded(saved, last=last, best=best)] == gone


def test_a_checkpoint_is_removed_manifest_first(folder: str) -> None:
    store = FileStore()
    kept, removed = save(store, folder, "uid-1", 4), save(store, folder, "uid-1", 5)
    deleted: list[str] = []

    class Recording:
        def delete(self, uri: str) -> None:
            deleted.append(uri)
            store.delete(uri)

    delete_checkpoint(Recording(), removed)  # type: ignore[arg-type]
    assert deleted[0] == removed.folder + CHECKPOINT_MANIFEST_FILE
    assert {info.uri.rpartition("/")[0] + "/" for info in store.list(folder)} == {kept.folder}

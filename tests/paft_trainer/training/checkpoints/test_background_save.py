"""One checkpoint on its way: of two ranks that share a store, without the ranks."""

import math
import time
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from tests.paft_trainer.training.checkpoints.held_store import HeldStore

from paft_api.layout import checkpoint_folder
from paft_trainer.keeping.saved_checkpoints import SavedCheckpoint, list_checkpoints
from paft_trainer.storage import StorageAuth
from paft_trainer.storage.file_store import FileStore, uri_of
from paft_trainer.training.adapter_state import AdapterState, WholeParameters, joined, share_of
from paft_trainer.training.checkpoints import background_save
from paft_trainer.training.checkpoints.background_save import BackgroundSave, Snapshot
from paft_trainer.training.checkpoints.checkpoint import TrainerPosition, encode_trainer_state, load_newest_checkpoint
from paft_trainer.training.checkpoints.part_records import PartRecords

STEP = 5


@pytest.fixture
def attempt(tmp_path: Path) -> str:
    return f"{uri_of(tmp_path)}/attempts/uid-1/"


def state() -> AdapterState:
    """Of a size that no number of ranks divides."""
    weights = {"a": torch.arange(7.0).view(1, 7), "b": torch.arange(3.0)}
    moments = {
        moment: {name: tensor + offset for name, tensor in weights.items()}
        for offset, moment in ((10, "exp_avg"), (20, "exp_avg_sq"))
    }
    return AdapterState(weights=weights, moments=moments, adam_step=STEP)


class TwoRanks:
    """Two ranks' saves of one checkpoint, and what rank 0 called complete."""

    def __init__(self, attempt: str) -> None:
        self._folder = checkpoint_folder(attempt, STEP)
        self._rendezvous = dist.HashStore()
        self.complete: list[SavedCheckpoint] = []

    def save(self, rank: int, store: FileStore) -> BackgroundSave:
        share = share_of(state(), rank=rank, ranks=2)
        snapshot = Snapshot(
            step=STEP,
            share=share,
            random_state={"cpu": torch.full((4,), rank, dtype=torch.uint8)},
            trainer_state=encode_trainer_state(TrainerPosition(step=STEP, scheduler={}), share),
            eval_loss=0.5,
        )
        records = PartRecords(self._rendezvous, rank=rank, ranks=2)
        return BackgroundSave(store, self._folder, snapshot, records, on_complete=self.complete.append)


def test_it_is_complete_when_all_parts_are_there_and_nobody_waits_for_that(attempt: str) -> None:
    ranks, slow = TwoRanks(attempt), HeldStore()
    first, second = ranks.save(0, FileStore()), ranks.save(1, slow)
    first.wait_for_part()
    first.raise_failure()
    second.raise_failure()
    assert list_checkpoints(FileStore(), attempt) == []

    slow.let_go()
    second.wait()
    first.wait()
    assert ranks.complete == list_checkpoints(FileStore(), attempt)
    assert (ranks.complete[0].step, ranks.complete[0].eval_loss) == (STEP, 0.5)
    found = load_newest_checkpoint(FileStore(), attempt)
    assert found is not None
    assert str(found[1].adapter) == str(state())
    assert [found[1].rng[rank]["cpu"].tolist() for rank in (0, 1)] == [[0] * 4, [1] * 4]


@pytest.mark.parametrize("ranks", [1, 2, 3, 4, 9])
def test_shares_of_any_number_of_ranks_make_the_whole(ranks: int) -> None:
    shares = [share_of(state(), rank=rank, ranks=ranks) for rank in range(ranks)]
    assert str(joined(shares)) == str(state())
    sizes = {sum(tensor.numel() for tensor in share.weights.values()) for share in shares}
    assert sizes == {math.ceil(7 / ranks) + math.ceil(3 / ranks)}


def test_an_upload_that_fails_is_told_with_its_own_error(attempt: str) -> None:
    error = StorageAuth("no right to write", remedy="Ask for it.")
    broken = HeldStore(error=error)
    save = TwoRanks(attempt).save(1, broken)
    save.raise_failure()
    broken.let_go()
    for call in (save.wait_for_part, save.wait, save.raise_failure):
        with pytest.raises(StorageAuth) as raised:
            call()
        assert raised.value is error


def test_where_training_fails_what_is_nearly_there_is_completed(attempt: str) -> None:
    """As when a loss is not finite right after a save."""
    ranks = TwoRanks(attempt)
    first, second = ranks.save(0, FileStore()), ranks.save(1, FileStore())
    second.wait_a_last_time(30)
    first.wait_a_last_time(30)
    assert [saved.step for saved in list_checkpoints(FileStore(), attempt)] == [STEP]


def test_where_training_fails_nobody_waits_long_for_a_rank_that_is_gone(
    attempt: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background_save, "_PEERS_SECONDS", 0.1)
    began = time.monotonic()
    TwoRanks(attempt).save(0, FileStore()).wait_a_last_time(30)
    assert time.monotonic() - began < 15
    assert list_checkpoints(FileStore(), attempt) == []


def test_a_snapshot_is_not_what_training_makes_of_it() -> None:
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)

    def step() -> None:
        model(torch.ones(1, 3)).sum().backward()
        optimizer.step()

    access = WholeParameters(model, optimizer)
    assert access.share().moments == {}
    step()
    share = access.share()
    copied = str(share)
    step()
    assert str(share) == copied
    assert str(access.share()) != copied
    assert share.adam_step == 1

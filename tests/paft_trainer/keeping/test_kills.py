"""SIGKILL in the middle of a streamed write, on both kinds of storage: what is left goes with the next attempt, or with
a clean-up, and nothing else does."""

from pathlib import Path

import pytest
from tests.merges import folder_uri, merge_run_spec, run_merge
from tests.paft_trainer.keeping.killed_writers import kill_while_merging, kill_while_saving
from tests.paft_trainer.keeping.stored_attempts import folder_of, identity, names, stage_of
from tests.tiny_models import build_adapter, build_checkpoint

from paft_api.run_spec import RunSpec
from paft_api.spec.storage import StorageSpec
from paft_api.spec.training import KeepSpec
from paft_api.storage_survey import EndedAttempts, FolderState, ItemKind, SurveyRequest
from paft_trainer.keeping.attempt_marker import AttemptEnd, read_marker
from paft_trainer.keeping.cleaning import clean
from paft_trainer.keeping.own_attempts import marked_arm_attempt
from paft_trainer.keeping.saved_checkpoints import list_checkpoints
from paft_trainer.keeping.survey import survey
from paft_trainer.storage import ObjectStore, open_store

TOLD = EndedAttempts(job_uid="uid", why="it was killed here")


@pytest.fixture
def store(storage: StorageSpec) -> ObjectStore:
    return open_store(storage)


def uploads(store: ObjectStore, storage: StorageSpec) -> list[str]:
    return [upload.uri for upload in store.unfinished_uploads(storage.artifacts_uri)]


def test_the_next_attempt_removes_what_a_kill_left_of_a_checkpoint(
    store: ObjectStore, storage: StorageSpec, tmp_path: Path
) -> None:
    kill_while_saving(storage, 1, tmp_path)
    assert len(uploads(store, storage)) == 1
    with marked_arm_attempt(store, stage_of(storage), identity(2), KeepSpec(), end_store=lambda: store):
        assert uploads(store, storage) == []
        (saved,) = list_checkpoints(store, stage_of(storage))
        assert saved.step == 4
        first = read_marker(store, f"{folder_of(storage, 1)}paft_attempt.json", "uid-1")
        assert first is not None
        assert first.ended is AttemptEnd.LOST
    assert {name.split("/")[2] for name in names(store, f"{stage_of(storage)}attempts/") if name.count("/") > 1} == {
        saved.folder.rstrip("/").rpartition("/")[2]
    }


def test_a_clean_up_does_so_once_the_end_is_proven(store: ObjectStore, storage: StorageSpec, tmp_path: Path) -> None:
    kill_while_saving(storage, 1, tmp_path)
    left = names(store, storage.artifacts_uri)
    request = SurveyRequest(storage=storage)
    assert clean(store, request).removed == ()
    assert survey(store, request).folders[0].state is FolderState.IN_PROGRESS
    assert len(uploads(store, storage)) == 1

    told = SurveyRequest(storage=storage, ended=(TOLD,))
    assert survey(store, told).folders[0].state is FolderState.ABANDONED
    done = clean(store, told)
    assert ItemKind.UPLOAD in [item.kind for item in done.removed]
    assert uploads(store, storage) == []
    assert [saved.step for saved in list_checkpoints(store, stage_of(storage))] == [4]
    assert names(store, storage.artifacts_uri) == {name for name in left if "step-00000008" not in name}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base of 16 MB, so that its merge is streamed in parts, with two adapters."""
    root = tmp_path_factory.mktemp("models")
    base = build_checkpoint(root / "base", hidden_size=512)
    build_adapter(root / "sft", base, seed=1)
    build_adapter(root / "preference", base, seed=2)
    return root


def merging(models: Path, storage: StorageSpec, *, attempt: int, output: str = "out") -> RunSpec:
    places = {name: folder_uri(models / name) for name in ("base", "sft", "preference")}
    run_spec = merge_run_spec(
        **places,
        output=f"{storage.artifacts_uri}{output}/",
        artifacts=storage.artifacts_uri,
        method="linear",
        endpoint=storage.endpoint,
    )
    told = run_spec.identity.model_copy(update={"attempt": attempt})
    return run_spec.model_copy(update={"identity": told})


@pytest.mark.slow
def test_a_merge_that_was_killed_leaves_nothing_once_the_next_attempt_or_a_clean_up_is_done(
    store: ObjectStore, storage: StorageSpec, models: Path, tmp_path: Path
) -> None:
    output = f"{storage.artifacts_uri}out/"
    kill_while_merging(merging(models, storage, attempt=1), tmp_path)
    assert len(uploads(store, storage)) == 1
    left = names(store, output)
    assert ".paft-attempt-uid-1.json" in left

    request = SurveyRequest(storage=storage, artifacts=False, outputs=(output,))
    assert clean(store, request).removed == ()
    done = clean(store, request.model_copy(update={"ended": (TOLD,)}))
    assert [item.kind for item in done.removed] == [ItemKind.UPLOAD]
    assert uploads(store, storage) == []
    assert names(store, output) == left

    kill_while_merging(merging(models, storage, attempt=2), tmp_path)
    assert len(uploads(store, storage)) == 1
    unbroken = run_merge(merging(models, storage, attempt=1, output="unbroken"))
    result = run_merge(merging(models, storage, attempt=3))
    assert result.artifact.digest == unbroken.artifact.digest
    assert uploads(store, storage) == []
    assert names(store, output) == names(store, f"{storage.artifacts_uri}unbroken/")
    assert not any(name.startswith(".paft-") for name in names(store, output))

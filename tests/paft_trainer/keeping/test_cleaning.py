"""Folders as they are in a store, read, judged and cleaned; S3 is a real one."""

from contextlib import nullcontext

import pytest
from tests.paft_trainer.keeping.stored_attempts import (
    DIGEST,
    folder_of,
    identity,
    names,
    publish,
    put_attempt,
    stage_of,
)

from paft_api.layout import INDEX
from paft_api.spec.storage import StorageSpec
from paft_api.spec.training import KeepSpec
from paft_api.stages import StageName
from paft_api.storage_survey import FolderState, ItemKind, SurveyRequest
from paft_trainer.keeping import cleaning
from paft_trainer.keeping.attempt_marker import AttemptEnd, read_marker
from paft_trainer.keeping.cleaning import clean
from paft_trainer.keeping.marked_attempt import marked_attempt
from paft_trainer.keeping.own_attempts import apply_retention, clean_up_before, marked_arm_attempt
from paft_trainer.keeping.saved_checkpoints import list_checkpoints
from paft_trainer.keeping.survey import survey
from paft_trainer.storage import ObjectStore, open_store

FAILED, LOST = AttemptEnd.FAILED, AttemptEnd.LOST


@pytest.fixture
def store(storage: StorageSpec) -> ObjectStore:
    return open_store(storage)


@pytest.fixture
def request_(storage: StorageSpec) -> SurveyRequest:
    return SurveyRequest(storage=storage)


def test_a_survey_tells_how_far_the_work_is(store: ObjectStore, storage: StorageSpec, request_: SurveyRequest) -> None:
    put_attempt(store, storage, 1, 4, ended=FAILED)
    put_attempt(store, storage, 2, 4, 8)
    store.put(f"{storage.artifacts_uri}{INDEX}{'0' * 64}.json", b"{}")
    found = survey(store, request_)
    (folder,) = found.folders
    assert (folder.uri, folder.stage, folder.digest) == (stage_of(storage), StageName.SFT, DIGEST)
    assert (folder.state, folder.checkpoints, folder.uploads) == (FolderState.IN_PROGRESS, 3, 0)
    assert folder.bytes == sum(info.size for info in store.list(stage_of(storage)))
    first, second = folder.attempts
    assert (first.name, first.job, first.over) == ("uid-1", "team/demo", "its marker says that it has failed")
    assert second.over is None
    assert folder.started_at == second.started_at
    assert (found.index_entries, found.index_bytes) == (1, 2)


def test_with_a_published_adapter_only_that_stays(
    store: ObjectStore, storage: StorageSpec, request_: SurveyRequest
) -> None:
    put_attempt(store, storage, 1, 4, ended=LOST)
    put_attempt(store, storage, 2, 4, 8, ended=FAILED)
    put_attempt(store, storage, 1, 8, job="other", ended=AttemptEnd.STOPPED)
    files = publish(store, storage)
    proposed = survey(store, request_)
    before = sum(info.size for info in store.list(stage_of(storage)))
    done = clean(store, request_)
    assert done.removed == tuple(item for item in proposed.items if item.remove)
    assert names(store, stage_of(storage)) == set(files)
    assert done.bytes == before - sum(map(len, files.values()))
    assert survey(store, request_).folders[0].state is FolderState.FINISHED


def test_what_is_no_attempts_and_no_claims_is_left_alone(
    store: ObjectStore, storage: StorageSpec, request_: SurveyRequest
) -> None:
    """Files of people, markers that were copied elsewhere, and folders of other digests."""
    put_attempt(store, storage, 1, 4, ended=FAILED)
    publish(store, storage)
    marker = store.read(f"{folder_of(storage, 1)}paft_attempt.json")
    mine = {
        f"{folder_of(storage, 7)}paft_attempt.json": marker,
        f"{folder_of(storage, 7)}checkpoints/step-00000004/optimizer.safetensors": b"x",
        f"{folder_of(storage, 8)}paft_attempt.json": b"not json",
        f"{folder_of(storage, 8)}notes.txt": b"x",
        f"{stage_of(storage)}notes/readme.txt": b"x",
        f"{storage.artifacts_uri}sft/not-a-digest/attempts/uid-1/paft_attempt.json": marker,
        f"{storage.artifacts_uri}mine.txt": b"x",
    }
    for uri, content in mine.items():
        store.put(uri, content)
    clean(store, request_)
    assert mine.keys() <= {info.uri for info in store.list(storage.artifacts_uri)}
    assert not names(store, folder_of(storage, 1))


def test_what_was_proposed_is_judged_again_before_it_goes(
    store: ObjectStore, storage: StorageSpec, request_: SurveyRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the two looks a newer checkpoint loses a file, so that an older one is the newest."""
    put_attempt(store, storage, 1, 4, ended=FAILED)
    put_attempt(store, storage, 1, 8, job="other")
    assert ItemKind.CHECKPOINT in [item.kind for item in survey(store, request_).items if item.remove]
    looked = cleaning.judge_folders

    def look(*arguments: object) -> object:
        found = looked(*arguments)  # type: ignore[arg-type]
        store.delete(f"{folder_of(storage, 1, 'other')}checkpoints/step-00000008/checkpoint_manifest.json")
        return found

    monkeypatch.setattr(cleaning, "judge_folders", look)
    assert clean(store, request_).removed == ()
    assert [saved.step for saved in list_checkpoints(store, stage_of(storage))] == [4]


def test_the_index_goes_on_request_and_while_nobody_may_read_it(
    store: ObjectStore, storage: StorageSpec, request_: SurveyRequest
) -> None:
    entry = f"{storage.artifacts_uri}{INDEX}{'0' * 64}.json"
    store.put(entry, b"{}")
    store.put(f"{storage.artifacts_uri}{INDEX}mine.txt", b"x")
    with_index = request_.model_copy(update={"index": True})
    put_attempt(store, storage, 1)
    assert clean(store, with_index).removed == ()
    put_attempt(store, storage, 1, ended=FAILED)
    assert ItemKind.INDEX not in [item.kind for item in clean(store, request_).removed]
    assert entry in [item.uri for item in clean(store, with_index).removed]
    assert names(store, storage.artifacts_uri + INDEX) == {"mine.txt"}


def test_retention_counts_over_all_attempts_of_the_job(store: ObjectStore, storage: StorageSpec) -> None:
    put_attempt(store, storage, 1, 2, 4, ended=LOST)
    put_attempt(store, storage, 2, 6)
    put_attempt(store, storage, 1, 1, job="other")
    put_attempt(store, storage, 1, 3, job="uid-1")
    attempts = f"{stage_of(storage)}attempts/"
    apply_retention(store, attempts, identity(2), KeepSpec(last=2, best=0))
    assert [saved.folder.removeprefix(attempts) for saved in list_checkpoints(store, attempts)] == [
        "uid-2/checkpoints/step-00000006/",
        "uid-1/checkpoints/step-00000004/",
        "uid-1-1/checkpoints/step-00000003/",
        "other-1/checkpoints/step-00000001/",
    ]


def test_an_earlier_attempt_without_a_marker_is_not_touched(store: ObjectStore, storage: StorageSpec) -> None:
    first = put_attempt(store, storage, 1, 2, 4)
    store.delete(f"{first}paft_attempt.json")
    put_attempt(store, storage, 2, 6)
    before = names(store, first)
    apply_retention(store, f"{stage_of(storage)}attempts/", identity(2), KeepSpec(last=1, best=0))
    clean_up_before(store, stage_of(storage), identity(2))
    assert names(store, first) == before


def test_a_marker_is_there_first_and_tells_the_end(store: ObjectStore, storage: StorageSpec) -> None:
    class Stopped(BaseException):
        """As the launcher's StopRequested."""

    errors: dict[AttemptEnd, BaseException | None] = {
        AttemptEnd.SUCCEEDED: None,
        AttemptEnd.FAILED: ValueError(),
        AttemptEnd.STOPPED: Stopped(),
    }
    for number, (ended, error) in enumerate(errors.items(), start=1):
        uri = f"{folder_of(storage, number)}paft_attempt.json"
        with (
            nullcontext() if error is None else pytest.raises(type(error)),
            marked_arm_attempt(store, stage_of(storage), identity(number), KeepSpec(last=3), end_store=lambda: store),
        ):
            marker = read_marker(store, uri, f"uid-{number}")
            assert marker is not None
            assert marker.ended is None
            if error is not None:
                raise error
        marker = read_marker(store, uri, f"uid-{number}")
        assert marker is not None
        assert (marker.ended, marker.keep) == (ended, KeepSpec(last=3))
        assert marker.ended_at is not None
        assert marker.ended_at >= marker.started_at


def test_an_end_that_cannot_be_written_costs_nothing(s3: StorageSpec, capsys: pytest.CaptureFixture[str]) -> None:
    put_attempt(open_store(s3), s3, 1)
    uri = f"{folder_of(s3, 1)}paft_attempt.json"
    marker = read_marker(open_store(s3), uri, "uid-1")
    assert marker is not None
    dead = s3.model_copy(update={"endpoint": "http://127.0.0.1:9", "retry_window": 0})
    with marked_attempt(open_store(s3), uri, marker, end_store=lambda: open_store(dead)) as attempt:
        attempt.ended = AttemptEnd.STOPPED
    assert "not written down or cleaned up: the end of this attempt: " in capsys.readouterr().out
    assert read_marker(open_store(s3), uri, "uid-1") == marker

"""What attempts at prepare leave when they are killed, on both kinds of storage, and how it goes."""

from pathlib import Path

import pytest
from tests.paft_trainer.keeping.killed_writers import kill_while_preparing
from tests.paft_trainer.keeping.stored_attempts import names

from paft_api.layout import INDEX, prepare_attempt_marker_uri, probe_uri
from paft_api.run_spec import StageIdentity
from paft_api.spec.storage import StorageSpec
from paft_api.stages import StageName
from paft_api.storage_survey import EndedAttempts, FolderState, ItemKind, SurveyRequest
from paft_trainer.keeping.attempt_marker import AttemptEnd, AttemptMarker, read_marker, write_marker
from paft_trainer.keeping.cleaning import clean
from paft_trainer.keeping.prepare_attempts import marked_prepare_attempt
from paft_trainer.keeping.survey import survey
from paft_trainer.storage import ObjectStore, StorageAuth, open_store

TOLD = EndedAttempts(job_uid="uid", why="it was killed here")
ENTRY = f"{INDEX}{'1' * 64}.json"


@pytest.fixture
def store(storage: StorageSpec) -> ObjectStore:
    store = open_store(storage)
    store.put(f"{storage.artifacts_uri}{ENTRY}", b"{}")
    return store


@pytest.fixture
def output(storage: StorageSpec) -> str:
    return storage.artifacts_uri.removesuffix("artifacts/") + "output/"


def identity(number: int, job: str = "uid") -> StageIdentity:
    return StageIdentity(
        job_name="demo", job_namespace="team", job_uid=job, generation=1, stage=StageName.PREPARE, attempt=number
    )


def begin(store: ObjectStore, storage: StorageSpec, number: int, *writes: str, ended: AttemptEnd | None = None) -> None:
    """An attempt that has its marker, and a probe at each of these addresses."""
    marker = AttemptMarker.begin(identity(number), writes=writes)
    uri = prepare_attempt_marker_uri(storage.artifacts_uri, "uid", number)
    write_marker(store, uri, marker if ended is None else marker.end(ended))
    for probe in writes:
        store.put(probe, b"first")


def all_names(store: ObjectStore, storage: StorageSpec, output: str) -> set[str]:
    """Of objects and of what is not finished."""
    folders = (storage.artifacts_uri, output)
    found = {name for folder in folders for name in names(store, folder)}
    uploads = [upload.uri for folder in folders for upload in store.unfinished_uploads(folder)]
    return found | {f"unfinished in {uri.rpartition('/')[0].rpartition('/')[2]}" for uri in uploads}


def test_the_next_attempt_removes_what_a_kill_left(
    store: ObjectStore, storage: StorageSpec, output: str, tmp_path: Path
) -> None:
    kill_while_preparing(storage, 1, output, tmp_path)
    assert all_names(store, storage, output) == {ENTRY, "prepare/uid-1.json", ".paft-probe-uid-1"}
    kill_while_preparing(storage, 2, output, tmp_path)
    unfinished = {"unfinished in index"} if storage.artifacts_uri.startswith("file://") else set()
    assert all_names(store, storage, output) == {ENTRY, "prepare/uid-2.json"} | unfinished

    request = SurveyRequest(storage=storage)
    assert clean(store, request).removed == ()
    (folder,) = survey(store, request).folders
    assert (folder.uri, folder.stage) == (storage.artifacts_uri, StageName.PREPARE)
    assert (folder.state, folder.uploads) == (FolderState.IN_PROGRESS, len(unfinished))
    told = request.model_copy(update={"ended": (TOLD,)})
    assert survey(store, told).folders[0].state is FolderState.ABANDONED
    kinds = [item.kind for item in clean(store, told).removed]
    assert kinds == [ItemKind.UPLOAD] * len(unfinished) + [ItemKind.MARKER]
    assert all_names(store, storage, output) == {ENTRY}


def test_a_clean_up_takes_what_is_proven_to_be_over_wherever_it_lies(
    store: ObjectStore, storage: StorageSpec, output: str
) -> None:
    begin(store, storage, 1, probe_uri(storage.artifacts_uri, "uid", 1), probe_uri(output, "uid", 1))
    begin(store, storage, 2, probe_uri(output, "uid", 2))
    assert [
        (item.kind, item.uri.rpartition("/")[2]) for item in clean(store, SurveyRequest(storage=storage)).removed
    ] == [
        (ItemKind.PROBE, ".paft-probe-uid-1"),
        (ItemKind.PROBE, ".paft-probe-uid-1"),
        (ItemKind.MARKER, "uid-1.json"),
    ]
    assert all_names(store, storage, output) == {ENTRY, "prepare/uid-2.json", ".paft-probe-uid-2"}


def test_a_marker_can_have_nothing_removed_but_its_own_probes(
    store: ObjectStore, storage: StorageSpec, output: str
) -> None:
    foreign = (f"{output}model.safetensors", probe_uri(output, "other", 1), f"{storage.artifacts_uri}{ENTRY}")
    begin(store, storage, 1, *foreign, ended=AttemptEnd.FAILED)
    assert [item.kind for item in clean(store, SurveyRequest(storage=storage)).removed] == [ItemKind.MARKER]
    assert all_names(store, storage, output) == {ENTRY, "model.safetensors", ".paft-probe-other-1"}


def test_the_index_stays_while_an_attempt_at_prepare_may_read_it(store: ObjectStore, storage: StorageSpec) -> None:
    begin(store, storage, 1)
    request = SurveyRequest(storage=storage, index=True)
    (kept,) = [item for item in clean(store, request).kept if item.kind is ItemKind.INDEX]
    assert "is not proven to be over" in kept.why
    assert clean(store, request.model_copy(update={"ended": (TOLD,)})).kept == ()


def test_success_leaves_nothing_and_anything_else_its_end(store: ObjectStore, storage: StorageSpec) -> None:
    uri = prepare_attempt_marker_uri(storage.artifacts_uri, "uid", 1)
    for error, expected in ((None, None), (ValueError, AttemptEnd.FAILED), (SystemExit, AttemptEnd.STOPPED)):
        try:
            with marked_prepare_attempt(store, storage.artifacts_uri, identity(1), probes=(), end_store=lambda: store):
                found = read_marker(store, uri, "uid-1")
                assert found is not None
                assert found.ended is None
                if error is not None:
                    raise error
        except (ValueError, SystemExit):
            pass
        told = read_marker(store, uri, "uid-1")
        assert (None if told is None else told.ended) == expected


def test_where_nobody_may_look_the_marker_stays_as_proof(
    store: ObjectStore, storage: StorageSpec, output: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(store, storage, 1, probe_uri(output, "uid", 1), ended=AttemptEnd.STOPPED)
    head = store.head

    def refuse(uri: str) -> object:
        if uri.startswith(output):
            raise StorageAuth("refused", remedy="")
        return head(uri)

    with monkeypatch.context() as patch:
        patch.setattr(store, "head", refuse)
        done = clean(store, SurveyRequest(storage=storage))
    assert done.removed == ()
    assert [item.why for item in done.kept if item.kind is ItemKind.MARKER] == [
        "nobody here may look whether its probe is there: refused"
    ]
    assert len(clean(store, SurveyRequest(storage=storage)).removed) == 2

"""`paft storage`, with the real trainer behind it."""

import fcntl
import json
import os
from pathlib import Path

import pytest
from tests.paft_cli.workplace import Workplace
from tests.paft_trainer.keeping.stored_attempts import folder_of, publish, put_attempt, stage_of

from paft_api.spec.storage import StorageSpec
from paft_api.storage_survey import EndedAttempts
from paft_cli.commands.storage import StorageArguments, collect_garbage, list_storage, request_of
from paft_cli.errors import CommandError
from paft_trainer.keeping.attempt_marker import AttemptEnd
from paft_trainer.storage import open_store


@pytest.fixture
def artifacts(storage: StorageSpec) -> StorageSpec:
    """One arm that was published after a failed attempt, beside an attempt of another job that goes on."""
    store = open_store(storage)
    put_attempt(store, storage, 1, 4, 8, ended=AttemptEnd.FAILED)
    put_attempt(store, storage, 1, 8, job="other")
    publish(store, storage)
    return storage


def arguments(storage: StorageSpec, **more: object) -> StorageArguments:
    return StorageArguments(target=storage.artifacts_uri, endpoint=storage.endpoint, **more)  # type: ignore[arg-type]


def test_what_is_there_what_would_go_and_what_has_gone(
    artifacts: StorageSpec, capfd: pytest.CaptureFixture[str]
) -> None:
    assert list_storage(arguments(artifacts), output="text") == 0
    header, row, hint = capfd.readouterr().out.splitlines()
    assert header.split() == ["STAGE", "DIGEST", "STATE", "ATTEMPTS", "CHECKPOINTS", "SIZE", "UPLOADS", "AGE", "WHERE"]
    assert row.split()[:5] == ["sft", "c" * 12, "Finished", "2", "3"]
    assert row.endswith(stage_of(artifacts))
    assert hint.startswith("paft storage gc can remove 3 things, ")

    before = {info.uri for info in open_store(artifacts).list(artifacts.artifacts_uri)}
    assert collect_garbage(arguments(artifacts), dry_run=True, output="text") == 0
    said = capfd.readouterr().out
    folder = f"{folder_of(artifacts, 1)}checkpoints/step-00000004/"
    assert f"{folder}  the adapter is published, so that nobody resumes from it\n" in said
    assert f"{folder_of(artifacts, 1, 'other')}  it is not proven to be over\n" in said
    assert said.splitlines()[-1].startswith("3 things, ")
    assert said.endswith(" would be removed; nothing was changed\n")
    assert {info.uri for info in open_store(artifacts).list(artifacts.artifacts_uri)} == before

    assert collect_garbage(arguments(artifacts), dry_run=False, output="text") == 0
    said = capfd.readouterr().out
    assert said.startswith("REMOVED ")
    assert "\n\n3 things, " in said
    assert not list(open_store(artifacts).list(folder_of(artifacts, 1)))
    assert list(open_store(artifacts).list(folder_of(artifacts, 1, "other")))
    assert collect_garbage(arguments(artifacts), dry_run=False, output="text") == 0
    assert capfd.readouterr().out == "nothing to remove\n"


def test_the_same_for_programs_and_with_the_word_of_the_user(
    artifacts: StorageSpec, capfd: pytest.CaptureFixture[str]
) -> None:
    assert list_storage(arguments(artifacts), output="json") == 0
    (folder,) = json.loads(capfd.readouterr().out)["folders"]
    assert (folder["state"], folder["checkpoints"], len(folder["attempts"])) == ("Finished", 3, 2)
    assert collect_garbage(arguments(artifacts, ended=("other",)), dry_run=True, output="json") == 0
    items = json.loads(capfd.readouterr().out)["items"]
    assert all(item["remove"] for item in items)
    assert collect_garbage(arguments(artifacts, ended=("other",)), dry_run=False, output="json") == 0
    done = json.loads(capfd.readouterr().out)
    assert done["removed"] == items
    assert done["kept"] == []
    assert done["bytes"] == sum(item["bytes"] for item in items)
    assert not list(open_store(artifacts).list(f"{stage_of(artifacts)}attempts/"))


def test_a_job_file_names_both_folders_and_this_machine_tells_which_attempts_are_over(workplace: Workplace) -> None:
    assert workplace.run() == 0
    attempts = workplace.path / ".paft" / "jobs" / "played" / "attempts"
    uid = json.loads((attempts / "sft-1" / "run_spec.json").read_text())["identity"]["jobUid"]
    request = request_of(StorageArguments(target="job.yaml"))
    assert request.storage.artifacts_uri == f"file://{workplace.path}/artifacts/"
    assert request.outputs == (f"file://{workplace.path}/output/",)
    assert {(one.job_uid, one.stage, one.attempt) for one in request.ended} == {
        (uid, stage, 1) for stage in ("prepare", "sft", "preference", "merge")
    }
    # A launcher that lives holds its lock.
    with (attempts / "sft-1" / "lock").open("r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "sft" not in {one.stage for one in request_of(StorageArguments(target="job.yaml")).ended}


def test_nothing_is_there(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert list_storage(StorageArguments(target=str(tmp_path)), output="text") == 0
    assert capfd.readouterr().out == "nothing of PAFT's is there\n"


def test_a_store_that_cannot_be_read_is_1(s3: StorageSpec, capfd: pytest.CaptureFixture[str]) -> None:
    missing = StorageArguments(target="s3://nobody-made-this-bucket/x/", endpoint=s3.endpoint)
    assert list_storage(missing, output="text") == 1
    assert collect_garbage(missing, dry_run=False, output="text") == 1
    said = capfd.readouterr()
    assert said.out == ""
    assert "there is no such bucket" in said.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "gs://bucket/"}, "URI 'gs://bucket/': String should match pattern"),
        ({"target": os.curdir, "endpoint": "localhost"}, "--endpoint 'localhost': String should match pattern"),
        ({"target": "job.yaml", "region": "x"}, "--region is for addresses; job.yaml tells it in spec.storage"),
        ({"target": "nothing.yaml"}, "nothing.yaml"),
    ],
)
def test_arguments_that_cannot_work_are_named(options: dict[str, str], message: str) -> None:
    with pytest.raises(CommandError) as caught:
        request_of(StorageArguments(**options))  # type: ignore[arg-type]
    assert message in str(caught.value)
    assert caught.value.exit_code == 2


def test_uids_are_taken_at_their_word() -> None:
    request = request_of(StorageArguments(target="/somewhere", ended=("a", "b")))
    assert request.ended == tuple(EndedAttempts(job_uid=uid, why="--ended says so") for uid in ("a", "b"))

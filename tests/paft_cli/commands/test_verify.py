"""`paft verify`, with the real verification behind it."""

import json
import os
from pathlib import Path

import pytest
from tests.hostile_files.folders import MERGED, GoodFolders, build_good_folders, write_folder
from tests.merges import folder_uri

from paft_api.spec.storage import StorageSpec
from paft_cli.commands.verify import VerifyArguments, verify_folder
from paft_cli.errors import CommandError
from paft_trainer.storage import open_store

OTHER = f"sha256:{'0' * 64}"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> GoodFolders:
    return build_good_folders(tmp_path_factory.mktemp("good"))


@pytest.fixture
def merged(good: GoodFolders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_folder(tmp_path / "merged", good.contents[MERGED])


def verified(uri: str, *, output: str = "text", artifacts: str | None = None, digest: str | None = None) -> int:
    arguments = VerifyArguments(uri=uri, artifacts=artifacts, digest=digest, endpoint=None, region=None)
    return verify_folder(arguments, output=output)


def test_a_sound_folder_is_three_lines_and_0(
    merged: Path, capfd: pytest.CaptureFixture[str], good: GoodFolders
) -> None:
    (merged / "NOTES.md").write_text("mine")
    assert verified("merged") == 0
    said = capfd.readouterr().out.splitlines()
    size = sum(
        len(data) for name, data in good.contents[MERGED].items() if not name.endswith(("claim.json", "manifest.json"))
    )
    assert said[0] == f"{folder_uri(merged)}: merge, 9 files, {size / 1000:.1f} kB, {good.digests[MERGED]}"
    assert said[1:3] == ["every file is what the manifest says", "not checked, as it was not published: NOTES.md"]
    assert len(said) == 4


def test_damage_is_a_table_with_what_to_do_and_1(merged: Path, capfd: pytest.CaptureFixture[str]) -> None:
    first, second, *_ = sorted(merged.glob("*.safetensors"))
    second.write_bytes(first.read_bytes())
    (merged / "config.json").unlink()
    assert verified(str(merged)) == 1
    said = capfd.readouterr()
    assert said.err == ""
    lines = [line.split(maxsplit=2) for line in said.out.splitlines()]
    assert ["config.json", "Missing", "it is not there"] in lines
    assert [second.name, "Swapped", f"it holds the content of {first.name}"] in lines
    assert "2 problems\n" in said.out
    assert "\nWhat to do:\nMissing: Copy it again from where it is whole, or delete merge_manifest.json and" in said.out


def test_the_same_for_programs(merged: Path, capfd: pytest.CaptureFixture[str], good: GoodFolders) -> None:
    assert verified("merged", output="json") == 0
    assert json.loads(capfd.readouterr().out)["sound"] is True
    assert verified("merged", output="json", digest=OTHER) == 1
    document = json.loads(capfd.readouterr().out)
    (folder,) = document["folders"]
    assert (document["sound"], folder["kind"], folder["files"]) == (False, "merge", 9)
    assert folder["problems"] == [
        {
            "file": "merge_manifest.json",
            "kind": "Digest",
            "message": f"its digest is {good.digests[MERGED]}, but {OTHER} was asked for",
            "remedy": "Take the folder that was meant; this one holds something else.",
        }
    ]


def test_a_base_against_what_a_job_kept(
    merged: Path, capfd: pytest.CaptureFixture[str], good: GoodFolders, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(merged.parent / "base", good.contents["base"])
    assert verified("base", artifacts=str(good.artifacts)) == 0
    assert "every file is what the index says" in capfd.readouterr().out
    assert verified("base") == 1
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err.startswith("Failed: ConfigInvalid: file://")
    assert "give --artifacts, the storage.artifactsUri of a job that used it, or --digest" in said.err
    # What paft merge keeps lies in the state folder.
    monkeypatch.setenv("PAFT_HOME", str(merged.parent / "home"))
    (merged.parent / "home").mkdir()
    (merged.parent / "home" / "cache").symlink_to(good.artifacts)
    assert verified("base") == 0


def test_in_an_object_store(good: GoodFolders, s3: StorageSpec, capfd: pytest.CaptureFixture[str]) -> None:
    store, uri = open_store(s3), f"{s3.artifacts_uri}merged/"
    for name, data in good.contents[MERGED].items():
        store.put(uri + name, data)
    arguments = VerifyArguments(uri=uri, artifacts=None, digest=None, endpoint=s3.endpoint, region="us-east-1")
    assert verify_folder(arguments, output="text") == 0
    store.delete(f"{uri}config.json")
    assert verify_folder(arguments, output="text") == 1
    assert "config.json" in capfd.readouterr().out


def test_a_folder_that_is_not_there(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert verified(str(tmp_path / "nothing")) == 1
    assert "nothing/ is empty or does not exist\n  Check the address." in capfd.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"digest": "sha256:12"}, "--digest 'sha256:12': String should match pattern '^sha256:[0-9a-f]{64}$'"),
        ({"uri": "gs://bucket/folder/"}, "URI 'gs://bucket/folder/': String should match pattern"),
        ({"artifacts": "gs://bucket/"}, "--artifacts 'gs://bucket/': String should match pattern"),
        ({"endpoint": "localhost"}, "--endpoint 'localhost': String should match pattern"),
    ],
)
def test_arguments_that_cannot_work_are_named(options: dict[str, str], message: str) -> None:
    given = {"uri": os.curdir, "artifacts": None, "digest": None, "endpoint": None, "region": None} | options
    with pytest.raises(CommandError) as caught:
        verify_folder(VerifyArguments(**given), output="text")
    assert str(caught.value).startswith(message)
    assert caught.value.exit_code == 2

"""Links are followed within a folder, and never out of it."""

from pathlib import Path

import pytest
from tests.merges import folder_uri

from paft_trainer.errors import ConfigInvalid
from paft_trainer.folder_links import links_out_of, require_no_links_out


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "a folder"
    folder.mkdir()
    (folder / "file").write_text("inside")
    (tmp_path / "secret").write_text("outside")
    return folder


@pytest.mark.parametrize("target", ["{outside}", "../secret", "../a folder/../secret", "/etc/passwd", "/dev/zero"])
def test_a_link_out_is_told_with_its_target(folder: Path, target: str) -> None:
    (folder / "link").symlink_to(target.replace("{outside}", str(folder.parent / "secret")))
    with pytest.raises(ConfigInvalid) as caught:
        require_no_links_out(folder_uri(folder), ["file", "link"])
    where = target if target.startswith("/") else str(folder.parent / "secret")
    assert caught.value.message == f"{folder_uri(folder)}link is a symbolic link out of its folder, to {where}"
    assert caught.value.remedy == "Put the file itself there, or give the folder that it lies in."


@pytest.mark.parametrize("target", ["file", "{inside}", "deeper/../file", "nothing", "link"])
def test_a_link_inside_is_fine(folder: Path, target: str) -> None:
    (folder / "deeper").mkdir()
    (folder / "link").symlink_to(target.replace("{inside}", str(folder / "file")))
    require_no_links_out(folder_uri(folder), ["file", "link"])


def test_a_folder_may_be_reached_by_a_link(folder: Path) -> None:
    (folder.parent / "link").symlink_to(folder)
    (folder / "other").symlink_to("file")
    require_no_links_out(folder_uri(folder.parent / "link"), ["file", "other"])


def test_hugging_face_s_cache_has_links_into_its_blobs(tmp_path: Path) -> None:
    root = tmp_path / "models--org--name"
    snapshot = root / "snapshots" / "0123"
    (root / "blobs").mkdir(parents=True)
    snapshot.mkdir(parents=True)
    (root / "blobs" / "abc").write_text("{}")
    (tmp_path / "secret").write_text("outside")
    (snapshot / "config.json").symlink_to("../../blobs/abc")
    (snapshot / "evil.json").symlink_to("../../blobs/../../secret")
    assert list(links_out_of(folder_uri(snapshot), ["config.json", "evil.json"])) == [
        ("evil.json", tmp_path / "secret")
    ]


def test_blobs_that_are_a_link_themselves_lead_out(tmp_path: Path) -> None:
    snapshot = tmp_path / "stranger" / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "credentials").write_text("secret")
    (tmp_path / "stranger" / "blobs").symlink_to(tmp_path / "home")
    (snapshot / "config.json").symlink_to("../../blobs/credentials")
    assert [name for name, _ in links_out_of(folder_uri(snapshot), ["config.json"])] == ["config.json"]


def test_object_stores_have_no_links() -> None:
    require_no_links_out("s3://bucket/folder/", ["anything"])

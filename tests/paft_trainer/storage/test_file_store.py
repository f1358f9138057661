"""What only files do: rights, other writers, and errors of the operating system."""

import os
import stat
from pathlib import Path

import pytest

from paft_api.causes import Cause
from paft_trainer.errors import StageFailed
from paft_trainer.storage import ObjectMissing, StorageAuth
from paft_trainer.storage.file_store import FileStore, _explained, uri_of


def test_files_have_the_rights_that_the_umask_leaves(tmp_path: Path) -> None:
    FileStore().put(uri_of(tmp_path / "written"), b"x")
    FileStore().put(uri_of(tmp_path / "claimed"), b"x", only_if_absent=True)
    (tmp_path / "usual").touch()
    rights = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("written", "claimed", "usual")}
    assert len(rights) == 1


def test_a_write_in_progress_is_not_listed(tmp_path: Path) -> None:
    with FileStore().open_writer(uri_of(tmp_path / "x")) as writer:
        writer.write(b"half")
        assert len(list(tmp_path.iterdir())) == 1
        assert list(FileStore().list(uri_of(tmp_path) + "/")) == []
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_errors_of_the_block_that_writes_stay_its_own(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), FileStore().open_writer(uri_of(tmp_path / "x")):
        (tmp_path / "something else").read_bytes()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_has_a_cause_of_its_own() -> None:
    with pytest.raises(StageFailed) as caught, _explained("file:///x"), open("/dev/full", "wb", buffering=0) as file:
        file.write(b"x")
    assert caught.value.cause is Cause.DISK_FULL
    assert caught.value.message == "file:///x: No space left on device"


def test_a_place_where_nobody_may_write_is_refused() -> None:
    with pytest.raises(StorageAuth, match=r"file:///sys/paft/x: (Operation not permitted|Permission denied|Read-only)"):
        FileStore().put("file:///sys/paft/x", b"x")


def test_only_plain_files_are_objects(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    (tmp_path / "real").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    names = [Path(info.uri).name for info in FileStore().list(uri_of(tmp_path) + "/")]
    assert names == ["link", "real"]
    assert FileStore().head(uri_of(tmp_path)) is None
    with pytest.raises(ObjectMissing):
        FileStore().read(uri_of(tmp_path))


def test_names_that_are_no_text_are_files_too(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff")).write_bytes(b"x")
    (info,) = FileStore().list(uri_of(tmp_path) + "/")
    assert info.uri.endswith("/%FF")
    assert FileStore().read(info.uri) == b"x"


def test_a_name_that_cannot_be_is_a_file_that_is_not_there() -> None:
    uri = "file:///" + "x" * 300
    with pytest.raises(ObjectMissing) as caught:
        FileStore().head(uri)
    assert caught.value.message == f"{uri}: File name too long"

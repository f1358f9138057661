"""A node's folder that cannot be used as a cache: really unwritable ones."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.paft_trainer.prepare.jobs import findings_of, prepare_run_spec
from tests.run_specs import arm_run_spec, write_sums
from tests.tiny_models import build_checkpoint

from paft_api.run_spec import NodeCache, RunSpec
from paft_api.spec import BaseCacheSpec, HostPathCache
from paft_api.spec.storage import StorageSpec
from paft_trainer.base.cache_checks import HOST_PATH_FIELD, require_usable_cache
from paft_trainer.errors import ConfigInvalid
from paft_trainer.launching.arm_launcher import launch_arm
from paft_trainer.reporting import Reporter
from paft_trainer.storage import open_store

NOBODY = 65534


def with_cache(told: RunSpec, folder: Path, *, base_uri: str = "s3://models/base/") -> RunSpec:
    cache = BaseCacheSpec(host_path=HostPathCache(path=str(folder)))
    base = told.base.model_copy(update={"cache": cache, "uri": base_uri})
    node_cache = NodeCache(directory=str(folder), max_bytes=cache.max_bytes)
    return told.model_copy(update={"base": base, "base_cache": node_cache})


def a_file(root: Path) -> Path:
    (root / "cache").write_text("no folder")
    return root / "cache"


def below_a_file(root: Path) -> Path:
    return a_file(root) / "below"


def of_another_user(root: Path) -> Path:
    """As a kubelet makes it: of the user that has it made, and for nobody else to write to."""
    (root / "cache").mkdir(mode=0o755)
    return root / "cache"


def with_extents_of_another_user(root: Path) -> Path:
    (root / "cache").mkdir()
    (root / "cache").chmod(0o777)
    (root / "cache" / "extents").mkdir(mode=0o755)
    return root / "cache"


@contextmanager
def another_user() -> Iterator[None]:
    before = os.geteuid()
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(before)


@pytest.fixture
def told(tmp_path: Path) -> RunSpec:
    return prepare_run_spec(tmp_path, {"artifactsUri": f"file://{tmp_path}/artifacts/"})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("make", [of_another_user, with_extents_of_another_user])
def test_a_folder_for_others_to_write_is_refused_by_field_path_and_remedy(
    open_folder: Path, told: RunSpec, make: Callable[[Path], Path]
) -> None:
    folder = make(open_folder)
    with pytest.raises(ConfigInvalid) as caught, another_user():
        require_usable_cache(with_cache(told, folder))
    assert caught.value.message == (
        f"spec.base.cache.hostPath.path {folder}: the node's cache cannot be written by user {NOBODY}, "
        f"group {os.getegid()}: Permission denied"
    )
    assert "mode 0777" in caught.value.remedy
    require_usable_cache(with_cache(told, folder))


@pytest.mark.parametrize("make", [a_file, below_a_file])
def test_what_is_no_folder_is_refused(tmp_path: Path, told: RunSpec, make: Callable[[Path], Path]) -> None:
    folder = make(tmp_path)
    with pytest.raises(ConfigInvalid, match="cannot be written"):
        require_usable_cache(with_cache(told, folder))
    require_usable_cache(with_cache(told, folder, base_uri=told.base.uri))
    require_usable_cache(told)


def test_a_folder_that_can_be_used_stays_empty_but_for_its_own(tmp_path: Path, told: RunSpec) -> None:
    require_usable_cache(with_cache(told, tmp_path / "new" / "cache"))
    assert [path.name for path in (tmp_path / "new" / "cache").rglob("*")] == ["extents"]


def test_prepare_tells_it_with_all_else(s3: StorageSpec, tmp_path: Path) -> None:
    write_sums(tmp_path)
    build_checkpoint(tmp_path / "base")
    for path in (tmp_path / "base").iterdir():
        open_store(s3).put(f"{s3.artifacts_uri}base/{path.name}", path.read_bytes())
    told = prepare_run_spec(tmp_path, s3.to_document())
    ((cause, field, message),) = findings_of(with_cache(told, a_file(tmp_path), base_uri=f"{s3.artifacts_uri}base/"))
    assert (cause, field) == ("ConfigInvalid", HOST_PATH_FIELD)
    assert message.startswith(f"{HOST_PATH_FIELD} {tmp_path}/cache: ")


def test_an_arm_ends_before_it_spends_anything(tmp_path: Path) -> None:
    chats, _ = write_sums(tmp_path)
    build_checkpoint(tmp_path / "base")
    artifacts = tmp_path / "artifacts"
    told = with_cache(arm_run_spec("sft", base=tmp_path / "base", data=chats, artifacts=artifacts), a_file(tmp_path))
    with pytest.raises(ConfigInvalid, match=HOST_PATH_FIELD):
        launch_arm(told, Reporter(told.identity, None))
    assert [path for path in artifacts.rglob("*") if path.is_file()] == []

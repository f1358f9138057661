"""Where the control plane's programs come from, and what a build leaves behind. A script stands for the Go compiler."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from hack.control_plane.errors import AssetsIncomplete, BuildFailed, ProgramsMissing
from hack.control_plane.programs import MODULES, cache_folder, find, find_or_build

ROOT = Path(__file__).parents[2]
COMPILING = """#!/bin/sh
PATH=/usr/bin:/bin
# Finds the path after -o, and leaves half a program there before it goes on.
while [ "$1" != "-o" ]; do shift; done
echo started >> "{marks}/builds"
printf '#!/bin/sh' > "$2"
chmod +x "$2"
{then}
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, no assets, and no compiler."""
    monkeypatch.setenv("PAFT_CONTROL_PLANE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "compiler"))
    (tmp_path / "compiler").mkdir()
    return cache_folder()


def test_the_cache_is_keyed_by_the_pinned_versions(cache: Path, tmp_path: Path) -> None:
    assert cache == tmp_path / "cache" / "kubernetes-1.37.2-etcd-3.6.16-helm-4.3.1-coredns-1.15.0-jobset-0.10.1"


def test_assets_come_first(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("etcd", "kube-apiserver")
    assets = tmp_path / "assets"
    for folder in (cache, assets):
        _put_programs(folder, "etcd", "kube-apiserver", "kube-controller-manager")
    (assets / "kube-controller-manager").unlink()
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))

    found = find_or_build([*names, "kube-controller-manager"])

    assert found == {
        "etcd": assets / "etcd",
        "kube-apiserver": assets / "kube-apiserver",
        "kube-controller-manager": cache / "kube-controller-manager",
    }


def test_assets_without_a_server_are_a_mistake_that_is_told(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _put_programs(tmp_path / "assets", "etcd")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path / "assets"))

    with pytest.raises(AssetsIncomplete) as raised:
        find_or_build(["etcd"])

    assert str(raised.value) == (
        f"KUBEBUILDER_ASSETS is {tmp_path / 'assets'}, which lacks kube-apiserver; unset it or add that"
    )


def test_without_assets_and_go_it_is_said_what_to_do(cache: Path) -> None:
    with pytest.raises(ProgramsMissing) as raised:
        find_or_build(["etcd", "kube-apiserver"])

    assert str(raised.value) == (
        "no etcd, kube-apiserver: set KUBEBUILDER_ASSETS to a folder that has them (setup-envtest makes one), "
        "or install Go, which builds them"
    )


def test_a_program_is_built_once(cache: Path, tmp_path: Path) -> None:
    _put_compiler(tmp_path, "exit 0")

    first = find_or_build(["etcd"])
    second = find_or_build(["etcd"])

    assert first == second == {"etcd": cache / "etcd"}
    assert _builds(tmp_path) == 1


def test_a_failed_build_leaves_no_program_and_shows_the_compilers_words(cache: Path, tmp_path: Path) -> None:
    _put_compiler(tmp_path, "echo 'no required module' >&2; exit 1")

    with pytest.raises(BuildFailed) as raised:
        find_or_build(["etcd"])

    assert "no required module" in str(raised.value)
    assert find("etcd") is None


def test_a_killed_build_leaves_no_program_and_the_next_one_builds_it(cache: Path, tmp_path: Path) -> None:
    _put_compiler(tmp_path, "sleep 60")
    killed = _start_build()
    _wait_for_builds(tmp_path, 1)
    killed.kill()
    killed.wait()

    assert not [name for module in MODULES for name in module.packages if find(name)]
    _put_compiler(tmp_path, "exit 0")
    assert find_or_build(["etcd"]) == {"etcd": cache / "etcd"}


def test_two_processes_build_a_program_once(cache: Path, tmp_path: Path) -> None:
    _put_compiler(tmp_path, "sleep 1")

    both = [_start_build() for _ in range(2)]

    assert [process.wait(timeout=60) for process in both] == [0, 0]
    assert _builds(tmp_path) == 1


def _put_programs(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch(mode=0o755)


def _put_compiler(tmp_path: Path, then: str) -> None:
    compiler = tmp_path / "compiler" / "go"
    compiler.write_text(COMPILING.format(marks=tmp_path, then=then), encoding="utf-8")
    compiler.chmod(0o755)


def _start_build() -> "subprocess.Popen[bytes]":
    code = "from hack.control_plane.programs import find_or_build; find_or_build(['etcd'])"
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)


def _wait_for_builds(tmp_path: Path, number: int) -> None:
    deadline = time.monotonic() + 30
    while _builds(tmp_path) < number:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _builds(tmp_path: Path) -> int:
    marks = tmp_path / "builds"
    return len(marks.read_text(encoding="utf-8").splitlines()) if marks.exists() else 0

"""What a node needs, what its images are made from, and what its command says where there can be none."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hack.node import images, requirements
from hack.node.errors import NodeFailed, RequirementsMissing
from hack.node.images import IMAGES, OPERATOR, TRAINER
from hack.node.node import Node
from hack.node.places import Places
from hack.node.supervisor import execute, stop

ROOT = Path(__file__).parents[2]


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(directory=tmp_path / "node", cache=tmp_path / "cache")


def _run(tmp_path: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """The command where no program is found."""
    command = [sys.executable, "-m", "hack.node", "run", "--directory", str(tmp_path / "node"), "--", "true"]
    environment = {"PATH": str(tmp_path), "HOME": str(tmp_path)} | environment
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_what_is_missing_is_named_with_its_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(requirements, "is_node_already", lambda: False)

    with pytest.raises(RequirementsMissing, match=r"apt-get install .* buildah conntrack containerd .* runc .* crun-$"):
        requirements.require()


def test_who_is_not_root_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with pytest.raises(RequirementsMissing, match="needs root"):
        requirements.require()


def test_a_command_is_left_out_where_no_node_can_be(tmp_path: Path) -> None:
    done = _run(tmp_path)

    assert done.returncode == 0
    assert done.stderr.startswith("node: left out: a node needs ")


def test_leaving_it_out_is_a_failure_in_ci(tmp_path: Path) -> None:
    done = _run(tmp_path, CI="true")

    assert done.returncode == 1
    assert "node: CI=true, but a node needs " in done.stderr


def test_there_is_nothing_to_end_or_to_enter_without_a_node(places: Places) -> None:
    assert not stop(places)
    with pytest.raises(NodeFailed, match="start one with"):
        execute(places, ["true"])


def test_a_node_tells_of_itself_in_a_file(tmp_path: Path) -> None:
    node = Node(
        address="10.0.0.1",
        kubeconfig="/kubeconfig",
        containerd_socket="/socket",
        logs="/logs",
        processes={"kubelet": 7},
        commands={"kubelet": ["kubelet", "--config=x"]},
    )
    node.write(tmp_path / "node.json")

    assert Node.read(tmp_path / "node.json") == node


def test_an_image_is_built_anew_when_something_changes_that_it_is_built_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "module.py").write_text("one", encoding="utf-8")
    (tmp_path / ".dockerignore").write_text("*\n!code\n", encoding="utf-8")
    for image in (OPERATOR, TRAINER):
        (tmp_path / image.dockerfile).write_text(f"FROM {image.name}", encoding="utf-8")
    monkeypatch.setattr(images, "ROOT", tmp_path)
    before = {image.name: images.digest(image) for image in IMAGES}

    (tmp_path / "notes.md").write_text("not let through", encoding="utf-8")
    assert {image.name: images.digest(image) for image in IMAGES} == before

    (tmp_path / "code" / "module.py").write_text("two", encoding="utf-8")
    changed = {image.name for image in IMAGES if images.digest(image) != before[image.name]}
    assert changed == {OPERATOR.name, TRAINER.name}


def test_images_are_of_the_projects_version() -> None:
    assert f'version = "{images.VERSION}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")

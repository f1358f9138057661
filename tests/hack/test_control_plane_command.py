"""`python -m hack.control_plane`, and that nothing is left behind, whatever ends the process that started it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hack.control_plane.client import KubernetesClient

ROOT = Path(__file__).parents[2]
HOLDER = """
import json, sys, time
from pathlib import Path
from hack.control_plane import Settings, running
with running(Settings(directory=Path(sys.argv[1]))) as control_plane:
    print(json.dumps([process.pid for process in control_plane.processes.values()]), flush=True)
    time.sleep(600)
"""

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("control_plane")]
"""The fixture skips these tests where there are no programs."""


def test_up_after_a_kill_status_and_down(tmp_path: Path) -> None:
    _create_namespace(_command("up", tmp_path))
    killed = _pids(tmp_path)

    os.kill(killed[0], signal.SIGKILL)

    _wait_until_ended(killed)
    assert _command("status", tmp_path).returncode == 1
    up = _command("up", tmp_path)
    # Every start begins with an empty cluster, so the same name is free again.
    _create_namespace(up)
    assert "end it with: " in up.stderr
    assert _command("up", tmp_path).stdout == up.stdout
    assert [line.split()[0] for line in _command("status", tmp_path).stdout.splitlines()[2:]] == [
        "supervisor",
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
    ]
    pids = _pids(tmp_path)
    assert _command("down", tmp_path).returncode == 0
    _wait_until_ended(pids)
    assert "no control plane runs in" in _command("down", tmp_path).stderr


def test_a_control_plane_that_lost_a_program_ends_as_a_whole(tmp_path: Path) -> None:
    _command("up", tmp_path)
    pids = _pids(tmp_path)

    os.kill(pids[1], signal.SIGKILL)

    _wait_until_ended(pids)
    assert "etcd ended by itself" in (tmp_path / "supervisor.log").read_text(encoding="utf-8")


def test_ctrl_c_ends_everything(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE)
    with holder:
        assert holder.stdout is not None
        pids = json.loads(holder.stdout.readline())
        assert _alive(pids) == pids

        holder.send_signal(signal.SIGINT)

    assert _alive(pids) == []


def _create_namespace(up: "subprocess.CompletedProcess[str]") -> None:
    kubeconfig = Path(up.stdout.removeprefix("export KUBECONFIG=").rstrip("\n"))
    with KubernetesClient(kubeconfig) as client:
        client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "mine"}})


def _command(action: str, directory: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "hack.control_plane", action, "--directory", str(directory)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def _pids(directory: Path) -> list[int]:
    record = json.loads((directory / "control-plane.json").read_text(encoding="utf-8"))
    return [record["supervisor"], *record["processes"].values()]


def _wait_until_ended(pids: list[int]) -> None:
    deadline = time.monotonic() + 10
    while alive := _alive(pids):
        assert time.monotonic() < deadline, alive
        time.sleep(0.05)


def _alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if _state(pid) not in ("", "Z")]


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""

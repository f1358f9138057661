"""The life of a node: started from outside, held by process 1 of its namespaces, ended from outside."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from hack.control_plane.processes import dying_with_this_process
from hack.control_plane.programs import MODULES, find_or_build
from hack.node import images, namespaces, node, requirements
from hack.node.errors import NodeFailed, NodeRuns
from hack.node.node import Node
from hack.node.places import Places

ROOT = Path(__file__).parents[2]
START_SECONDS = 900.0
"""Importing a large image takes minutes on a slow disk."""
STOP_SECONDS = 15.0
RECORD_VARIABLE = "PAFT_NODE"
"""Tells a command inside where `Node.read` finds what it may know."""


def start(places: Places, *, outlives_this_process: bool) -> Node:
    """Build what is missing, and start a node. Raises NodeError."""
    requirements.require()
    if launcher(places) is not None:
        raise NodeRuns(f"a node runs in {places.directory}; end it with: python -m hack.node down")
    find_or_build(name for module in MODULES for name in module.packages)
    images.build(places)
    shutil.rmtree(places.directory, ignore_errors=True)
    places.logs.mkdir(parents=True)
    log = places.logs / "supervisor.log"
    command = [sys.executable, "-m", "hack.node", "supervise", "--directory", str(places.directory)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            namespaces.created_for(command),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=None if outlives_this_process else dying_with_this_process(),
        )
    _launcher_file(places).write_text(str(process.pid), encoding="ascii")
    deadline = time.monotonic() + START_SECONDS
    while not places.record.is_file():
        if process.poll() is not None or time.monotonic() > deadline:
            stop(places)
            raise NodeFailed(f"no node was started; {log} says:\n{log.read_text(encoding='utf-8')[-4000:]}")
        time.sleep(0.1)
    return Node.read(places.record)


def execute(places: Places, command: Sequence[str]) -> int:
    """Run a command inside; its exit code."""
    first = _first_process(places)
    tools = find_or_build(["kubectl"])["kubectl"].parent
    environment = os.environ | {
        "KUBECONFIG": Node.read(places.record).kubeconfig,
        RECORD_VARIABLE: str(places.record),
        "PATH": f"{tools}:{os.environ['PATH']}",
    }
    return subprocess.run(namespaces.entered_for(command, pid=first), env=environment, check=False).returncode


def stop(places: Places) -> bool:
    """End the node and all that runs in it; False where there is none. Logs stay."""
    started = launcher(places)
    if started is None:
        return False
    first = namespaces.first_process(started)
    if first is not None:
        # With process 1, Linux ends all others of its namespaces, pods included.
        os.kill(first, signal.SIGKILL)
    deadline = time.monotonic() + STOP_SECONDS
    while _is_running(started) and time.monotonic() < deadline:
        time.sleep(0.05)
    _launcher_file(places).unlink()
    _remove_control_groups()
    return True


def launcher(places: Places) -> int | None:
    """The process that holds the node, as seen from outside."""
    path = _launcher_file(places)
    if not path.is_file():
        return None
    pid = int(path.read_text(encoding="ascii"))
    return pid if _is_running(pid) else None


def supervise(places: Places) -> None:
    """Hold a node until SIGTERM; process 1 of its namespaces."""
    signal.signal(signal.SIGTERM, _end)
    with node.running(places) as started:
        started.write(places.record)
        while True:
            _reap()
            time.sleep(0.5)


def _end(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)


def _reap() -> None:
    """Orphans become children of process 1, which has to take note of their end."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def _first_process(places: Places) -> int:
    started = launcher(places)
    first = namespaces.first_process(started) if started is not None else None
    if first is None:
        raise NodeFailed(f"no node runs in {places.directory}; start one with: python -m hack.node up")
    return first


def _is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0]
        return state != "Z" and b"unshare" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return False


def _launcher_file(places: Places) -> Path:
    return places.directory / "launcher.pid"


def _remove_control_groups() -> None:
    """Those of the pods are empty and in nobody's way, but nobody else removes them."""
    roots = [*Path("/sys/fs/cgroup").glob("kubepods*"), *Path("/sys/fs/cgroup").glob("*/kubepods*")]
    for root in roots:
        for folder, _, _ in os.walk(root, topdown=False):
            try:
                Path(folder).rmdir()
            except OSError:
                # A process in it is just ending; the next node finds the group as it is.
                continue

"""A node that runs pods, with its control plane: everything that is started inside its namespaces."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from hack import control_plane as control_planes
from hack.control_plane import ControlPlane
from hack.control_plane.control_plane import ADMINISTRATORS
from hack.control_plane.processes import Process
from hack.control_plane.programs import find_or_build
from hack.node import components, images, namespaces
from hack.node.places import ADDRESS, NODE_NAME, Places

READY_SECONDS = 120.0
PROGRAMS = ("kubelet", "kube-proxy", "coredns")


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """What a node that is ready tells of itself.

    `processes`: ids of its programs, as seen from inside. `commands`: how to start them again. `address`: where servers
    of tests can listen, for pods to reach them.
    """

    address: str
    kubeconfig: str
    containerd_socket: str
    logs: str
    processes: dict[str, int]
    commands: dict[str, list[str]]

    @classmethod
    def read(cls, path: Path) -> Self:
        """From the file that `write` has written."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))

    def write(self, path: Path) -> None:
        """For those who come in later."""
        unfinished = path.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(asdict(self), indent=2), encoding="utf-8")
        unfinished.replace(path)


@contextmanager
def running(places: Places) -> Iterator[Node]:
    """A node for the length of a `with` block. Called by process 1 of the namespaces."""
    namespaces.prepare()
    components.write_configurations(places)
    with ExitStack() as stack:
        started = {"containerd": _start("containerd", components.containerd(places), places, stack)}
        started["containerd"].wait_until(lambda: _answers(places), seconds=READY_SECONDS)
        _remove_containers(places)
        images.import_built(places)
        settings = control_planes.Settings(
            directory=places.directory / "control-plane", address=ADDRESS, scheduler=True, audit=True
        )
        control_plane = stack.enter_context(control_planes.running(settings))
        for name, command in _node_commands(places, control_plane).items():
            started[name] = _start(name, command, places, stack)
        started["kubelet"].wait_until(lambda: _is_ready(control_plane), seconds=READY_SECONDS)
        yield Node(
            address=ADDRESS,
            kubeconfig=str(control_plane.kubeconfig),
            containerd_socket=str(places.containerd_socket),
            logs=str(places.logs),
            processes={name: process.pid for name, process in started.items()},
            commands={name: process.command for name, process in started.items()},
        )


def _node_commands(places: Places, control_plane: ControlPlane) -> dict[str, list[str]]:
    certificate, key = control_plane.server_certificate(NODE_NAME, ADDRESS)
    components.write_kubelet_configuration(places, authority=control_plane.authority, certificate=certificate, key=key)
    administrators = {
        name: control_plane.user_kubeconfig(f"system:{name}", groups=(ADMINISTRATORS,))
        for name in ("kube-proxy", "coredns")
    }
    components.write_dns_configuration(places, kubeconfig=administrators["coredns"])
    user = control_plane.user_kubeconfig(f"system:node:{NODE_NAME}", groups=("system:nodes",))
    programs = find_or_build(PROGRAMS)
    return {
        "kubelet": components.kubelet(programs["kubelet"], places, kubeconfig=user),
        "kube-proxy": components.kube_proxy(programs["kube-proxy"], kubeconfig=administrators["kube-proxy"]),
        "coredns": components.coredns(programs["coredns"], places),
    }


def _start(name: str, command: list[str], places: Places, stack: ExitStack) -> Process:
    process = Process(name, command, log=places.logs / f"{name}.log")
    process.start()
    stack.callback(process.stop, grace_seconds=0)
    return process


def _answers(places: Places) -> bool:
    return _ctr(places, "version").returncode == 0


def _remove_containers(places: Places) -> None:
    """An earlier node has left its containers; images stay."""
    for name in _ctr(places, "containers", "list", "--quiet").stdout.split():
        _ctr(places, "containers", "delete", name)
    sandboxes = places.containerd_root / "io.containerd.grpc.v1.cri"
    shutil.rmtree(sandboxes, ignore_errors=True)


def _is_ready(control_plane: ControlPlane) -> bool:
    kubectl = find_or_build(["kubectl"])["kubectl"]
    condition = "{.status.conditions[?(@.type=='Ready')].status}"
    command = [
        kubectl,
        "--kubeconfig",
        control_plane.kubeconfig,
        "get",
        "node",
        NODE_NAME,
        "-o",
        f"jsonpath={condition}",
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout == "True"


def _ctr(places: Places, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = ["ctr", "--address", str(places.containerd_socket), "--namespace", images.NAMESPACE, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)

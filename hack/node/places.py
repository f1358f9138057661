"""Folders and addresses of the node: what outlives it, and what goes with it."""

import os
from dataclasses import dataclass
from pathlib import Path

ADDRESS = "10.250.0.1"
"""The node's own address in its network namespace: API server, kubelet, DNS, and servers of tests."""
NODE_NETWORK = f"{ADDRESS}/24"
POD_NETWORK = "10.244.0.0/24"
NODE_NAME = "node0"
CACHE_VARIABLE = "PAFT_NODE_CACHE"


def cache_folder() -> Path:
    """Images outlive the node here: layers of builds, and what containerd has unpacked. A few gigabytes.

    `PAFT_NODE_CACHE`, or else `${XDG_CACHE_HOME:-~/.cache}/paft/node`.
    """
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "paft" / "node"


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """`directory`: for what goes with the node. `cache`: for what outlives it."""

    directory: Path
    cache: Path

    @property
    def logs(self) -> Path:
        """Folder of logs, one per program."""
        return self.directory / "logs"

    @property
    def record(self) -> Path:
        """What a node that is ready tells of itself; see `node.Node`."""
        return self.directory / "node.json"

    @property
    def containerd_socket(self) -> Path:
        """Where containerd listens."""
        return self.directory / "containerd.sock"

    @property
    def containerd_root(self) -> Path:
        """Images, unpacked."""
        return self.cache / "containerd"

    @property
    def kubelet_configuration(self) -> Path:
        """The kubelet's configuration file."""
        return self.directory / "kubelet.yaml"

    @property
    def containerd_configuration(self) -> Path:
        """containerd's configuration file."""
        return self.directory / "containerd.toml"

    @property
    def network_plugins(self) -> Path:
        """Folder of the pod network's configuration."""
        return self.directory / "cni"

    @property
    def dns_configuration(self) -> Path:
        """CoreDNS's configuration file."""
        return self.directory / "Corefile"

    @property
    def name_servers(self) -> Path:
        """The resolv.conf that pods with `dnsPolicy: Default` get."""
        return self.directory / "resolv.conf"

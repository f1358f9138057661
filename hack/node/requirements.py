"""What a machine needs before a node can run on it."""

import os
import shutil
import sys
from pathlib import Path

from hack.node.errors import RequirementsMissing

PLUGINS = Path("/usr/lib/cni")
PROGRAMS = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "buildah": "buildah",
    "iptables": "iptables",
    "nft": "nftables",
    "conntrack": "conntrack",
    "ipset": "ipset",
    "ebtables": "ebtables",
    "socat": "socat",
    "mmdebstrap": "mmdebstrap",
    "ip": "iproute2",
    "modprobe": "kmod",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "cc": "gcc",
}
"""Programs, and the Debian packages that have them."""
INSTALL = "apt-get install --no-install-recommends"
# buildah recommends crun, which refuses a machine whose cgroups are of both versions.
REFUSED = "crun-"


def require() -> None:
    """Raises RequirementsMissing where something is missing."""
    if sys.platform != "linux":
        raise RequirementsMissing(f"a node needs Linux; this is {sys.platform}")
    if os.geteuid() != 0:
        raise RequirementsMissing("a node needs root: it makes namespaces, mounts and bridges; run this as root")
    if packages := missing_packages():
        raise RequirementsMissing(f"a node needs programs that are not here: {INSTALL} {' '.join(packages)} {REFUSED}")
    if is_node_already():
        raise RequirementsMissing(
            "this machine runs pods already, which a second kubelet would end; use another machine"
        )


def missing_packages() -> list[str]:
    """Debian packages that have what is missing."""
    missing = {package for program, package in PROGRAMS.items() if shutil.which(program) is None}
    if not (PLUGINS / "bridge").is_file():
        missing.add("containernetworking-plugins")
    return sorted(missing)


def is_node_already() -> bool:
    """Whether a process runs in a pod's cgroup."""
    groups = (path for root in Path("/sys/fs/cgroup").glob("*kubepods*") for path in root.rglob("cgroup.procs"))
    nested = (path for root in Path("/sys/fs/cgroup").glob("*/kubepods") for path in root.rglob("cgroup.procs"))
    return any(path.read_text(encoding="ascii").strip() for path in (*groups, *nested))


if __name__ == "__main__":
    # For whoever installs them.
    print(*([*packages, REFUSED] if (packages := missing_packages()) else ()))

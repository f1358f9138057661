"""The node's own namespaces: mounts, network and processes, which all end with their first process."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from hack.node.places import ADDRESS, NODE_NETWORK

ENTER = ("--mount", "--net", "--pid")


def created_for(command: Sequence[str]) -> list[str]:
    """`command`, called so that it is process 1 of new namespaces, and ends with the one that is called."""
    return ["unshare", *ENTER, "--fork", "--mount-proc", "--kill-child", *command]


def first_process(launcher: int) -> int | None:
    """Process 1 of what was called by `created_for`, as seen from outside."""
    try:
        children = Path(f"/proc/{launcher}/task/{launcher}/children").read_text(encoding="ascii").split()
    except FileNotFoundError:
        return None
    return int(children[0]) if children else None


def entered_for(command: Sequence[str], *, pid: int) -> list[str]:
    """`command`, called so that it runs in the namespaces of a process."""
    return ["nsenter", f"--target={pid}", *ENTER, f"--wdns={Path.cwd()}", *command]


def prepare() -> None:
    """Inside, before anything else: what is written to shared folders stays in here, and there is a network."""
    for command in (
        # Pods see what the kubelet mounts for them later.
        ["mount", "--make-rshared", "/"],
        *(["mount", "-t", "tmpfs", "tmpfs", folder] for folder in ("/run", "/var/log")),
        ["ip", "link", "set", "lo", "up"],
        ["ip", "link", "add", "node0", "type", "bridge"],
        ["ip", "address", "add", NODE_NETWORK, "dev", "node0"],
        ["ip", "link", "set", "node0", "up"],
        # kubelet and CoreDNS want a default route; it leads nowhere.
        ["ip", "route", "add", "default", "via", ADDRESS, "dev", "node0"],
    ):
        subprocess.run(command, check=True)

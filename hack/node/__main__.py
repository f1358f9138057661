"""A real Kubernetes node on this machine: control plane, containerd, kubelet, DNS, Services, and the project's images.

    python -m hack.node run [--keep] -- COMMAND   start it, run a command inside, end it; the command's exit code
    python -m hack.node up                        start it in the background and print how to look around
    python -m hack.node exec -- COMMAND           run a command inside the one that runs
    python -m hack.node down                      end it

It lives in namespaces of its own: nothing of it is seen outside, and all of it ends at once. It needs root on Linux and
some Debian packages. Where these are missing, `run` says so and does nothing; with CI=true that is a failure.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from hack.control_plane.errors import ControlPlaneError, ProgramsMissing
from hack.node import supervisor
from hack.node.errors import NodeError, RequirementsMissing
from hack.node.node import Node
from hack.node.places import Places, cache_folder

DIRECTORY = Path(".paft/node")
ACTIONS = ("run", "up", "exec", "down", "supervise")


def main() -> int:
    """The command line."""
    arguments = _parse()
    places = Places(directory=arguments.directory.absolute(), cache=cache_folder())
    try:
        match arguments.action:
            case "run":
                return _run(places, arguments.command, keep=arguments.keep)
            case "up":
                _up(places)
            case "exec":
                return supervisor.execute(places, arguments.command)
            case "down":
                if not supervisor.stop(places):
                    print(f"no node runs in {places.directory}", file=sys.stderr)
            case "supervise":
                supervisor.supervise(places)
    except (NodeError, ControlPlaneError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m hack.node", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=ACTIONS, metavar="{run,up,exec,down}")
    parser.add_argument("--directory", type=Path, default=DIRECTORY, help=f"for its files; default: {DIRECTORY}")
    parser.add_argument("--keep", action="store_true", help="leave the node up afterwards")
    # All behind `--` is the command, with options of its own.
    end = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    arguments = parser.parse_args(sys.argv[1:end])
    arguments.command = sys.argv[end + 1 :]
    if (arguments.action in ("run", "exec")) != bool(arguments.command):
        parser.error(f"{arguments.action} {'takes no' if arguments.command else 'needs a'} command behind --")
    return arguments


def _run(places: Places, command: Sequence[str], *, keep: bool) -> int:
    try:
        node = _started(places, outlives_this_process=keep)
    except (RequirementsMissing, ProgramsMissing) as error:
        is_ci = os.environ.get("CI") == "true"
        print(f"node: {'CI=true, but' if is_ci else 'left out:'} {error}", file=sys.stderr)
        return 1 if is_ci else 0
    try:
        return supervisor.execute(places, command)
    finally:
        if keep:
            _tell(node, places)
        else:
            supervisor.stop(places)


def _up(places: Places) -> None:
    _tell(_started(places, outlives_this_process=True), places)


def _started(places: Places, *, outlives_this_process: bool) -> Node:
    began = time.monotonic()
    node = supervisor.start(places, outlives_this_process=outlives_this_process)
    print(f"node: ready after {time.monotonic() - began:.0f} s", file=sys.stderr)
    return node


def _tell(node: Node, places: Places) -> None:
    option = "" if places.directory == DIRECTORY.absolute() else f" --directory {places.directory}"
    inside = f"{sys.executable} -m hack.node exec{option} --"
    print(f"The node is up. Look around:\n  {inside} kubectl get pods --all-namespaces", file=sys.stderr)
    print(f"  {inside} bash    # kubectl, helm and KUBECONFIG are there", file=sys.stderr)
    print(f"Logs of its programs: {node.logs}", file=sys.stderr)
    print(f"End it with: {sys.executable} -m hack.node down{option}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())

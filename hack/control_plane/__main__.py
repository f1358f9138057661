"""A real Kubernetes control plane on loopback: etcd, API server, controllers and scheduler, without any node.

    python -m hack.control_plane up        start it in the background and print how to reach it
    python -m hack.control_plane status    say what runs, with ids and memory
    python -m hack.control_plane down      end it
    python -m hack.control_plane build     build what is missing, and nothing else

Every start begins with an empty cluster. The programs come from KUBEBUILDER_ASSETS or are built once with Go.
"""

import argparse
import sys
import time
from pathlib import Path

from hack.control_plane import supervisor
from hack.control_plane.control_plane import Settings
from hack.control_plane.errors import ControlPlaneError
from hack.control_plane.processes import resident_bytes
from hack.control_plane.programs import MODULES, find, find_or_build

DIRECTORY = Path(".paft/control-plane")
ACTIONS = ("up", "down", "status", "build", "supervise")


def main() -> int:
    """The command line."""
    arguments = _parse()
    settings = Settings(directory=arguments.directory.absolute(), scheduler=arguments.scheduler, audit=arguments.audit)
    try:
        match arguments.action:
            case "up":
                return _up(settings)
            case "down":
                return _down(settings.directory)
            case "status":
                return _status(settings.directory)
            case "build":
                find_or_build(name for module in MODULES for name in module.packages)
            case "supervise":
                supervisor.supervise(settings)
    except ControlPlaneError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m hack.control_plane", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=ACTIONS, metavar="{up,down,status,build}")
    parser.add_argument("--directory", type=Path, default=DIRECTORY, help=f"for its files; default: {DIRECTORY}")
    parser.add_argument("--scheduler", action=argparse.BooleanOptionalAction, default=True, help="default: with one")
    parser.add_argument("--audit", action="store_true", help="log metadata of every request to logs/audit.jsonl")
    return parser.parse_args()


def _up(settings: Settings) -> int:
    started = time.monotonic()
    record = supervisor.start(settings)
    # stdout holds what a shell can evaluate, so that `eval "$(make --silent cluster)"` works.
    print(f"export KUBECONFIG={record.kubeconfig}")
    print(f"ready at {record.server} after {time.monotonic() - started:.1f} s", file=sys.stderr)
    print(f"kubectl: {find('kubectl')}", file=sys.stderr)
    print(f"end it with: {sys.executable} -m hack.control_plane down{_directory_option(settings)}", file=sys.stderr)
    return 0


def _directory_option(settings: Settings) -> str:
    return "" if settings.directory == DIRECTORY.absolute() else f" --directory {settings.directory}"


def _down(directory: Path) -> int:
    if not supervisor.stop(directory):
        print(f"no control plane runs in {directory}", file=sys.stderr)
    return 0


def _status(directory: Path) -> int:
    record = supervisor.find(directory)
    if record is None:
        print(f"no control plane runs in {directory}", file=sys.stderr)
        return 1
    print(f"{record.server}\nexport KUBECONFIG={record.kubeconfig}")
    for name, pid in {"supervisor": record.supervisor, **record.processes}.items():
        print(f"{name:24} pid {pid:<8} {resident_bytes(pid) / 1e6:6.0f} MB")
    if record.audit_log is not None:
        print(f"audit log: {record.audit_log}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

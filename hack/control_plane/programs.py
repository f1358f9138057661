"""The programs of a control plane: found, or built once from pinned Go modules.

Where a program comes from, in this order:

1. the folder that `KUBEBUILDER_ASSETS` names (the envtest convention): etcd, kube-apiserver and what else lies there;
2. the cache, a folder per set of versions under `PAFT_CONTROL_PLANE_CACHE`
   (default: `${XDG_CACHE_HOME:-~/.cache}/paft/control-plane`);
3. `go build` of the modules in `go/`, into that cache.
"""

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hack.control_plane.errors import AssetsIncomplete, BuildFailed, ProgramsMissing
from hack.control_plane.processes import dying_with_this_process

ASSETS_VARIABLE = "KUBEBUILDER_ASSETS"
CACHE_VARIABLE = "PAFT_CONTROL_PLANE_CACHE"
ASSETS_PROGRAMS = ("etcd", "kube-apiserver")
"""What `KUBEBUILDER_ASSETS` has to hold; programs that it lacks are built."""
PROGRESS_SECONDS = 30.0
"""Time between two lines about a build that goes on."""

_GO_FOLDER = Path(__file__).parent / "go"


@dataclass(frozen=True, kw_only=True, slots=True)
class GoModule:
    """A folder under `go/` whose go.mod pins what is built.

    `module`: the one whose version names the programs. `packages`: by program. `version_symbol`: the variable that the
    linker sets to the version, empty where the program knows it.
    """

    folder: str
    module: str
    packages: dict[str, str]
    version_symbol: str = ""

    def source(self) -> Path:
        """Folder of the module's own files; they are fetched where they are not there."""
        command = ["go", "mod", "download", "-json", self.module]
        done = subprocess.run(command, cwd=_GO_FOLDER / self.folder, capture_output=True, text=True, check=True)
        return Path(json.loads(done.stdout)["Dir"])

    @property
    def version(self) -> str:
        """The pinned version, such as v1.37.2."""
        go_mod = (_GO_FOLDER / self.folder / "go.mod").read_text(encoding="utf-8")
        match = re.search(rf"^\s*(?:require )?{re.escape(self.module)} (v\S+)", go_mod, re.MULTILINE)
        assert match is not None
        return match[1]


MODULES = (
    GoModule(
        folder="kubernetes",
        module="k8s.io/kubernetes",
        packages={
            name: f"k8s.io/kubernetes/cmd/{name}"
            for name in (
                *("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl"),
                *("kubelet", "kube-proxy"),
            )
        },
        version_symbol="k8s.io/component-base/version.gitVersion",
    ),
    GoModule(folder="etcd", module="go.etcd.io/etcd/server/v3", packages={"etcd": "go.etcd.io/etcd/server/v3"}),
    GoModule(
        folder="helm",
        module="helm.sh/helm/v4",
        packages={"helm": "helm.sh/helm/v4/cmd/helm"},
        version_symbol="helm.sh/helm/v4/internal/version.version",
    ),
    GoModule(folder="coredns", module="github.com/coredns/coredns", packages={"coredns": "github.com/coredns/coredns"}),
    GoModule(folder="jobset", module="sigs.k8s.io/jobset", packages={"jobset-controller": "sigs.k8s.io/jobset"}),
)


def find_or_build(names: Iterable[str]) -> dict[str, Path]:
    """Paths of programs by name. What is nowhere is built: minutes, once per machine and set of versions."""
    wanted = list(names)
    _check_assets()
    missing = [name for name in wanted if find(name) is None]
    if missing:
        _build_missing(missing)
    found = {name: find(name) for name in wanted}
    return {name: path for name, path in found.items() if path is not None}


def module_of(name: str) -> GoModule:
    """Where a program comes from."""
    return next(module for module in MODULES if name in module.packages)


def find(name: str) -> Path | None:
    """A program that is there already."""
    folders = [cache_folder()]
    if assets := os.environ.get(ASSETS_VARIABLE):
        folders.insert(0, Path(assets))
    return next((folder / name for folder in folders if os.access(folder / name, os.X_OK)), None)


def cache_folder() -> Path:
    """Where programs of the pinned versions are kept."""
    versions = "-".join(f"{module.folder}-{module.version.removeprefix('v')}" for module in MODULES)
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen).absolute() / versions
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return caches / "paft" / "control-plane" / versions


def _check_assets() -> None:
    assets = os.environ.get(ASSETS_VARIABLE)
    absent = [name for name in ASSETS_PROGRAMS if assets and not os.access(Path(assets) / name, os.X_OK)]
    if absent:
        raise AssetsIncomplete(
            f"{ASSETS_VARIABLE} is {assets}, which lacks {' and '.join(absent)}; unset it or add that"
        )


def _build_missing(names: list[str]) -> None:
    go = shutil.which("go")
    if go is None:
        raise ProgramsMissing(
            f"no {', '.join(names)}: set {ASSETS_VARIABLE} to a folder that has them (setup-envtest makes one), "
            "or install Go, which builds them"
        )
    with _lock(cache_folder()):
        for module in MODULES:
            # Looked for again: whoever held the lock may have built it.
            absent = [name for name in names if name in module.packages and find(name) is None]
            if absent:
                _build(go, module, absent)


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say(f"another process builds in {folder}; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(go: str, module: GoModule, names: list[str]) -> None:
    folder = cache_folder()
    for left_behind in folder.glob(".unfinished-*"):
        shutil.rmtree(left_behind)
    unfinished = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=folder))
    log = folder / f"build-{module.folder}.log"
    what = f"{', '.join(names)} {module.version}"
    _say(f"building {what} into {folder}: once, and some minutes")
    started = time.monotonic()
    exit_code = _run_with_progress(_build_command(go, module, names, unfinished), module, log, what)
    if exit_code != 0:
        raise BuildFailed(f"go build of {what} ended with exit code {exit_code}; the end of {log}:\n{_tail(log)}")
    # A program appears under its name only when it is whole.
    for name in names:
        (unfinished / name).replace(folder / name)
    unfinished.rmdir()
    _say(f"built {what} in {time.monotonic() - started:.0f} s")


def _build_command(go: str, module: GoModule, names: list[str], target: Path) -> list[str]:
    linker_flags = "-s -w"
    if module.version_symbol:
        linker_flags += f" -X {module.version_symbol}={module.version}"
    output = f"{target}/" if len(names) > 1 else str(target / names[0])
    packages = [module.packages[name] for name in names]
    return [
        go,
        "build",
        "-mod=readonly",
        "-buildvcs=false",
        "-trimpath",
        "-ldflags",
        linker_flags,
        "-o",
        output,
        *packages,
    ]


def _run_with_progress(command: list[str], module: GoModule, log: Path, what: str) -> int:
    environment = os.environ | {"CGO_ENABLED": "0", "GOWORK": "off"}
    started = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=_GO_FOLDER / module.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            preexec_fn=dying_with_this_process(),
        )
        try:
            while True:
                try:
                    return process.wait(timeout=PROGRESS_SECONDS)
                except subprocess.TimeoutExpired:
                    _say(f"still building {what}: {time.monotonic() - started:.0f} s")
        finally:
            process.terminate()
            process.wait()


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:])


def _say(text: str) -> None:
    print(f"control plane: {text}", file=sys.stderr, flush=True)

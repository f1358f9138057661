"""Images that are not built from the project's own Dockerfiles: the one they build on, and what a node needs."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hack.control_plane.programs import find_or_build
from hack.node.buildah import CERTIFICATES, Buildah
from hack.node.errors import ImageFailed

PYTHON_IMAGE = "docker.io/library/python:3.11-slim-bookworm"
PULL_SECONDS = 180.0
PACKAGES = ("ca-certificates", "netbase", "python3", "python3-venv", "python3-pip")
LEFT_OUT = ("man", "doc", "locale")

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_SOURCES = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))
_PAUSE = """\
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
static void end(int number) { _exit(0); }
static void reap(int number) { while (waitpid(-1, 0, WNOHANG) > 0); }
int main(void) {
  signal(SIGINT, end);
  signal(SIGTERM, end);
  signal(SIGCHLD, reap);
  for (;;) pause();
}
"""
_DOCKERFILE = """\
FROM scratch
COPY {program} /{program}
USER 65532:65532
ENTRYPOINT ["/{program}"]
"""


def provide_python_image(buildah: Buildah, folder: Path) -> None:
    """What the Dockerfiles begin with. Where no registry is reached: Debian's own Python 3.11 of the same release."""
    if not buildah.has(PYTHON_IMAGE) and not buildah.pull(PYTHON_IMAGE, seconds=PULL_SECONDS):
        _make_python_image(buildah, folder)


def make_pause_image(buildah: Buildah, image: str) -> None:
    """The container that holds a pod's namespaces."""
    with _context() as context:
        (context / "pause.c").write_text(_PAUSE, encoding="utf-8")
        subprocess.run(["cc", "-Os", "-static", "-o", "pause", "pause.c"], cwd=context, check=True)
        _build(buildah, context, image, "pause")


def make_jobset_image(buildah: Buildah, image: str) -> None:
    """JobSet's controller, from its Go module."""
    program = find_or_build(["jobset-controller"])["jobset-controller"]
    with _context() as context:
        shutil.copy(program, context / "manager")
        _build(buildah, context, image, "manager")


def _build(buildah: Buildah, context: Path, image: str, program: str) -> None:
    (context / "Dockerfile").write_text(_DOCKERFILE.format(program=program), encoding="utf-8")
    buildah.build(context, image, file=context / "Dockerfile")


@contextmanager
def _context() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="paft-image-") as name:
        yield Path(name)


def _make_python_image(buildah: Buildah, folder: Path) -> None:
    archive = folder / "python.tar"
    sources = next(path.read_text(encoding="utf-8") for path in _SOURCES if path.is_file())
    mirror = re.search(r"^(?:URIs:|deb(?: \[[^]]*\])?) *(\S+)", sources, re.MULTILINE)
    assert mirror is not None
    command = [
        *("mmdebstrap", "--quiet", "--variant=minbase", "--format=tar", f"--include={','.join(PACKAGES)}"),
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in LEFT_OUT),
        *("bookworm", str(archive), f"deb [signed-by={_KEYRING}] {mirror[1]} bookworm main"),
    ]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ImageFailed(f"{PYTHON_IMAGE} can neither be pulled nor be made with mmdebstrap:\n{done.stderr[-2000:]}")
    environment = [f"PIP_CERT={CERTIFICATES}"] if CERTIFICATES.is_file() else []
    buildah.from_archive(archive, PYTHON_IMAGE, command="python3", environment=environment)
    archive.unlink()

"""Image builds without a daemon and without a registry."""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from hack.node.errors import ImageFailed

CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_LINES_TOLD = 30


class Buildah:
    """Images in a folder of its own. `folder`: for them; `log`: what builds print."""

    def __init__(self, folder: Path, *, log: Path) -> None:
        self._folder = folder
        self._log = log

    def has(self, image: str) -> bool:
        """Whether an image of this name is there."""
        return self._call(["inspect", "--type", "image", image], may_fail=True).returncode == 0

    def labels(self, image: str) -> dict[str, str]:
        """Labels of an image."""
        described = json.loads(self._call(["inspect", "--type", "image", image]).stdout)
        labels: dict[str, str] = described["OCIv1"]["config"].get("Labels") or {}
        return labels

    def pull(self, image: str, *, seconds: float) -> bool:
        """Fetch an image from where its name leads; False where that cannot be reached."""
        try:
            return self._call(["pull", "--quiet", image], may_fail=True, seconds=seconds).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    def from_archive(self, root: Path, image: str, *, command: str = "", environment: Sequence[str] = ()) -> None:
        """Make an image of one layer from a tar file of a root file system."""
        container = self._call(["from", "scratch"]).stdout.strip()
        self._call(["add", "--quiet", container, str(root), "/"])
        settings = [option for one in environment for option in ("--env", one)]
        self._call(["config", *settings, *(["--cmd", command] if command else []), container])
        self._call(["commit", "--quiet", "--rm", container, image])

    def build(self, context: Path, image: str, *, file: Path, options: Sequence[str] = ()) -> None:
        """Build a Dockerfile; layers of earlier builds are used again."""
        # A machine may reach package registries through a certificate authority of its own.
        certificates = ["--volume", f"{CERTIFICATES}:{CERTIFICATES}:ro"] if CERTIFICATES.is_file() else []
        fixed = ["bud", "--layers", "--network", "host", "--pull-never", *certificates]
        self._call([*fixed, *options, "--file", str(file), "--tag", image, str(context)])

    def export(self, image: str, archive: Path) -> None:
        """Write an image to a file that containerd imports."""
        archive.unlink(missing_ok=True)
        self._call(["push", "--quiet", image, f"docker-archive:{archive}:{image}"])

    def _call(
        self, arguments: Sequence[str], *, may_fail: bool = False, seconds: float | None = None
    ) -> subprocess.CompletedProcess[str]:
        root = ["--root", str(self._folder / "storage"), "--runroot", str(self._folder / "storage-run")]
        command = ["buildah", *root, *arguments]
        with self._log.open("a", encoding="utf-8") as log:
            log.write(f"$ {' '.join(command)}\n")
            log.flush()
            done = subprocess.run(
                command,
                env=os.environ | {"STORAGE_DRIVER": "overlay", "BUILDAH_ISOLATION": "chroot"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                timeout=seconds,
                check=False,
            )
            log.write(done.stdout)
        if done.returncode != 0 and not may_fail:
            raise ImageFailed(
                f"buildah {arguments[0]} ended with exit code {done.returncode}; the end of {self._log}:\n{self._end()}"
            )
        return done

    def _end(self) -> str:
        return "\n".join(self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LINES_TOLD:])

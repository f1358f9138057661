"""Images of the node: built from the project's Dockerfiles, and brought into containerd, when they change.

Builds happen outside the node, where package registries are reached; the import happens inside. What was imported is
remembered beside containerd's own folder, by the digest of what it was built from.
"""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hack.control_plane.programs import module_of
from hack.node.base_images import PYTHON_IMAGE, make_jobset_image, make_pause_image, provide_python_image
from hack.node.buildah import Buildah
from hack.node.components import PAUSE_IMAGE
from hack.node.errors import ImageFailed
from hack.node.places import Places

ROOT = Path(__file__).parents[2]
VERSION = "0.1.0"
NAMESPACE = "k8s.io"
"""containerd's namespace of what the kubelet uses."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """Either built from a Dockerfile in the project's root, or made by a function."""

    name: str
    dockerfile: str = ""
    make: Callable[[Buildah, str], None] | None = None


OPERATOR = Image(name=f"localhost/paft-operator:{VERSION}", dockerfile="Dockerfile.operator")
TRAINER = Image(name=f"localhost/paft-trainer:{VERSION}", dockerfile="Dockerfile.trainer")
PAUSE = Image(name=PAUSE_IMAGE, make=make_pause_image)
JOBSET = Image(name=f"localhost/jobset:{module_of('jobset-controller').version}", make=make_jobset_image)
IMAGES = (PAUSE, OPERATOR, TRAINER, JOBSET)


def build(places: Places) -> None:
    """Build what is not in containerd yet, as archives that `import_built` takes."""
    missing = [image for image in IMAGES if not _is_imported(places, image)]
    if not missing:
        return
    places.cache.mkdir(parents=True, exist_ok=True)
    buildah = Buildah(places.cache, log=places.cache / "images.log")
    with _timed(PYTHON_IMAGE):
        provide_python_image(buildah, places.cache)
    for image in missing:
        with _timed(image.name):
            if image.make is None:
                buildah.build(ROOT, image.name, file=ROOT / image.dockerfile, options=_options(image))
            else:
                image.make(buildah, image.name)
            buildah.export(image.name, _archive(places, image))


def import_built(places: Places) -> None:
    """Bring the archives into containerd. Called while it runs, in its namespaces."""
    for image in IMAGES:
        archive = _archive(places, image)
        if not archive.is_file():
            continue
        with _timed(f"import of {image.name}"):
            command = ["ctr", "--address", str(places.containerd_socket), "--namespace", NAMESPACE, "images", "import"]
            done = subprocess.run([*command, str(archive)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ImageFailed(f"containerd does not take {image.name}: {done.stderr}")
        archive.unlink()
        _remember(places, image)


def _options(image: Image) -> list[str]:
    options = ["--build-arg", f"REVISION={_revision()}"]
    if image is not TRAINER:
        return options
    links = [Path(link) for link in os.environ.get("PIP_FIND_LINKS", "").split()]
    wheels = next((link for link in links if any(link.glob("torch-*+cpu-*.whl"))), None)
    index = os.environ.get("PIP_EXTRA_INDEX_URL")
    if wheels is not None:
        options += ["--volume", f"{wheels.absolute()}:/wheels:ro", "--build-arg", "PIP_FIND_LINKS=/wheels"]
    elif index is not None:
        options += ["--build-arg", f"PIP_EXTRA_INDEX_URL={index}"]
    else:
        # The larger variant runs without a GPU too.
        return options
    return [*options, "--build-arg", "VARIANT=cpu"]


def _revision() -> str:
    command = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else "unknown"


def _is_imported(places: Places, image: Image) -> bool:
    return _remembered(places).get(image.name) == digest(image)


def _remember(places: Places, image: Image) -> None:
    remembered = _remembered(places) | {image.name: digest(image)}
    _memory(places).write_text(json.dumps(remembered, indent=2), encoding="utf-8")


def _remembered(places: Places) -> dict[str, str]:
    path = _memory(places)
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _memory(places: Places) -> Path:
    """Inside containerd's folder, so that both go together."""
    return places.containerd_root / "paft-images.json"


def _archive(places: Places, image: Image) -> Path:
    return places.cache / f"{image.name.rsplit('/', 1)[-1].replace(':', '-')}-{digest(image)[:12]}.tar"


def digest(image: Image) -> str:
    """SHA-256 of all that an image is built from: its Dockerfile, and what .dockerignore lets through."""
    hashed = hashlib.sha256(image.name.encode())
    if image.dockerfile:
        for path in (ROOT / image.dockerfile, ROOT / ".dockerignore", *_context()):
            hashed.update(f"\0{path.relative_to(ROOT)}\0".encode())
            hashed.update(path.read_bytes())
    return hashed.hexdigest()


def _context() -> Iterator[Path]:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for allowed in sorted(ROOT / line[1:] for line in lines if line.startswith("!")):
        files = sorted(allowed.rglob("*")) if allowed.is_dir() else [allowed]
        yield from (path for path in files if path.is_file() and "__pycache__" not in path.parts)


@contextmanager
def _timed(what: str) -> Iterator[None]:
    print(f"node: {what} …", file=sys.stderr, flush=True)
    began = time.monotonic()
    yield
    print(f"node: {what}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)

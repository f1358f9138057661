"""What others see in a folder: the safetensors library and Python's json, none of our readers."""

import json
from pathlib import Path

from safetensors import safe_open
from tests.hostile_files.folders import CLAIM, MANIFESTS

View = dict[str, object]


def stock_view(folder: Path) -> View:
    """Every tensor, and every other file but ours; of our manifest whatever tells of files."""
    view: View = {}
    for path in sorted(folder.iterdir()):
        if path.suffix == ".safetensors":
            with safe_open(path, framework="numpy") as tensors:
                view |= {
                    f"{path.name}: {name}": (value.dtype.str, value.shape, value.tobytes())
                    for name in tensors.keys()  # noqa: SIM118 it is no mapping
                    for value in [tensors.get_tensor(name)]
                }
        elif path.name in MANIFESTS.values():
            manifest = json.loads(path.read_bytes())
            view[path.name] = [manifest["kind"], manifest["digest"], manifest["files"]]
        elif path.name != CLAIM:
            view[path.name] = path.read_bytes()
    return view

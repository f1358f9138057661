"""The two bases that are loaded: SmolLM2-135M-Instruct and a random Llama of 1.1 B parameters, both in bf16."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from benchmarks.load_runs.counting_server import CountingServer
from benchmarks.processes import ROOT, run_python

SMOLLM2, LLAMA = "SmolLM2-135M", "Llama-1.1B"
_STATE = ROOT / ".paft" / "benchmarks"


@dataclass(frozen=True, kw_only=True)
class Base:
    """A base in the server. `size`: bytes of all its files. `weights`: of those with tensors."""

    name: str
    uri: str
    bucket: str
    size: int
    weights: int


def upload_base(name: str, server: CountingServer) -> Base:
    """Make a base where it was not made before, and upload it into a bucket of its own."""
    folder = {SMOLLM2: smollm2_folder, LLAMA: _llama_folder}[name]()
    bucket = name.lower().replace(".", "-")
    sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
    return Base(
        name=name,
        uri=server.upload(folder, bucket),
        bucket=bucket,
        size=sum(sizes.values()),
        weights=sum(size for file, size in sizes.items() if file.endswith(".safetensors")),
    )


def smollm2_folder() -> Path:
    """SmolLM2-135M-Instruct as a checkpoint, which is made once."""
    base = _STATE / "smollm2-135m-instruct"
    if not base.is_dir():
        _STATE.mkdir(parents=True, exist_ok=True)
        partial = base.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        run_python(["-m", "hack.smollm2", str(partial)], _STATE / "smollm2.log", os.environ)
        partial.rename(base)
    return base


def _llama_folder() -> Path:
    """The base of the benchmark of merges."""
    state = _STATE / "merge"
    state.mkdir(parents=True, exist_ok=True)
    log = state / "models.txt"
    run_python(["-m", "benchmarks.merge_load.models", "1.1b", str(state)], log, os.environ)
    return Path(log.read_text().splitlines()[-1]) / "base"

"""Merges of tiny checkpoints, for tests: their RunSpecs, a float64 reference, and a store that fails on purpose."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from paft_api.report import MergeResult
from paft_api.run_spec import RunSpec
from paft_trainer import merge
from paft_trainer.adapters import adapter_digest
from paft_trainer.reporting import Reporter
from paft_trainer.storage import ObjectInfo, ObjectStore, ObjectWriter, UnfinishedUpload
from paft_trainer.storage.file_store import uri_of


def folder_uri(folder: Path) -> str:
    """The address of a folder."""
    return uri_of(folder) + "/"


def merge_run_spec(
    *,
    base: str,
    sft: str,
    preference: str,
    output: str,
    artifacts: str,
    method: str = "ties",
    weights: tuple[float, float] = (1.0, 1.0),
    density: float | None = None,
    seed: int | None = None,
    max_shard_size: str = "5GB",
    form: str = "Full",
    rank: int | None = None,
    options: Mapping[str, Any] | None = None,
    base_digest: str | None = None,
    chat_template: str | None = None,
    digests: Mapping[str, str] | None = None,
    endpoint: str | None = None,
    candidates: Sequence[Mapping[str, Any]] = (),
) -> RunSpec:
    """One attempt at a merge. Folders are URIs; `digests`: of the adapters, by arm; `options`: more of spec.merge, and
    each of `candidates`, by their names in documents."""
    expected = digests or {}
    document = {
        "identity": {
            "jobName": "test",
            "jobNamespace": "default",
            "jobUid": "uid",
            "generation": 1,
            "stage": "merge",
            "attempt": 1,
        },
        "base": {"uri": base} | ({} if chat_template is None else {"chatTemplate": chat_template}),
        "storage": {"artifactsUri": artifacts, "retryWindow": 5} | ({} if endpoint is None else {"endpoint": endpoint}),
        "baseDigest": base_digest,
        "reportPath": "/unused",
        "terminationPath": "/unused",
        "scratchDirectory": "/unused",
        "cacheDirectory": "/unused",
        "merge": {
            "spec": {
                "method": method,
                "weights": [{"sft": weights[0], "preference": weights[1]}],
                "density": density,
                "seed": seed,
                "output": {"uri": output, "maxShardSize": max_shard_size, "form": form, "rank": rank},
                "candidates": list(candidates),
            }
            | dict(options or {}),
            "sft": {"uri": sft, "digest": expected.get("sft")},
            "preference": {"uri": preference, "digest": expected.get("preference")},
        },
    }
    return RunSpec.model_validate_json(json.dumps(document))


def run_merge(run_spec: RunSpec) -> MergeResult:
    """Run the stage in this process; nothing is reported."""
    return merge.run(run_spec, Reporter(run_spec.identity, None))


def write_adapter_manifest(folder: Path, *, base_digest: str, **more: Any) -> str:
    """A manifest beside an adapter, as training writes it; returns the adapter's digest."""
    names = ("adapter_config.json", "adapter_model.safetensors")
    digest = adapter_digest({name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names})
    manifest = {"formatVersion": 1, "kind": "adapter", "baseDigest": base_digest, "digest": digest} | more
    (folder / "paft_manifest.json").write_text(json.dumps(manifest))
    return digest


def load_checkpoint(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors of a folder's safetensors files."""
    tensors: dict[str, torch.Tensor] = {}
    for path in sorted(folder.glob("model*.safetensors")):
        tensors |= load_file(path)
    return tensors


def folder_bytes(folder: Path) -> dict[str, bytes]:
    """Content of every file of a folder, by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def reference_deltas(adapter: Path) -> dict[str, np.ndarray]:
    """ΔW of each weight in float64, by name, from an adapter's files as PEFT defines them."""
    configuration = json.loads((adapter / "adapter_config.json").read_text())
    tensors = load_file(adapter / "adapter_model.safetensors")
    deltas = {}
    for name, a in tensors.items():
        if "lora_A" not in name:
            continue
        rank = a.shape[0]
        module = name.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
        alpha = configuration["alpha_pattern"].get(module.split(".")[-1], configuration["lora_alpha"])
        scale = alpha / (rank**0.5 if configuration["use_rslora"] else rank)
        b = tensors[name.replace("lora_A", "lora_B")]
        deltas[f"{module}.weight"] = scale * (b.double().numpy() @ a.double().numpy())
    return deltas


class FailingStore:
    """A real store that raises Interrupted at the n-th change, before or after it, as a kill would come."""

    def __init__(self, store: ObjectStore, *, fail_at: int | None = None, after: bool = False) -> None:
        self._store = store
        self._fail_at = fail_at
        self._after = after
        self.changes: list[str] = []
        self.ranges: list[tuple[str, int, int]] = []

    @contextmanager
    def _change(self, uri: str) -> Iterator[None]:
        fails = self._fail_at == len(self.changes)
        self.changes.append(uri)
        if fails and not self._after:
            raise Interrupted(uri)
        yield
        if fails:
            raise Interrupted(uri)

    def head(self, uri: str) -> ObjectInfo | None:
        """As the store's."""
        return self._store.head(uri)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """As the store's."""
        return self._store.list(prefix)

    def read(self, uri: str) -> bytes:
        """As the store's."""
        return self._store.read(uri)

    def read_range(self, uri: str, start: int, size: int, *, etag: str | None = None) -> bytes:
        """As the store's, remembered."""
        self.ranges.append((uri, start, size))
        return self._store.read_range(uri, start, size, etag=etag)

    def put(self, uri: str, data: bytes, *, only_if_absent: bool = False) -> None:
        """As the store's, or Interrupted."""
        with self._change(uri):
            self._store.put(uri, data, only_if_absent=only_if_absent)

    @contextmanager
    def open_writer(self, uri: str) -> Iterator[ObjectWriter]:
        """As the store's, or Interrupted."""
        with self._change(uri), self._store.open_writer(uri) as writer:
            yield writer

    def delete(self, uri: str) -> None:
        """As the store's."""
        self._store.delete(uri)

    def unfinished_uploads(self, prefix: str) -> Iterator[UnfinishedUpload]:
        """As the store's."""
        return self._store.unfinished_uploads(prefix)

    def abort_upload(self, upload: UnfinishedUpload) -> None:
        """As the store's."""
        self._store.abort_upload(upload)


class Interrupted(Exception):
    """What FailingStore raises."""

"""The output folder: files are streamed into it and remembered with size and SHA-256."""

import contextlib
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from paft_api.layout import ADAPTER_MANIFEST_FILE, CLAIM_FILE, MERGE_MANIFEST_FILE, SHARD_RECORD_PREFIX
from paft_api.spec.base import BaseSpec
from paft_trainer.checkpoint_files import INDEX_FILE
from paft_trainer.errors import ArtifactMismatch
from paft_trainer.merge.inputs import CONFIGURATION_FILE
from paft_trainer.merge.interference import TensorFigures
from paft_trainer.merge.model_card import model_card
from paft_trainer.merge.shards import Shard
from paft_trainer.publishing import write_hashed
from paft_trainer.safetensors_files import read_chunks
from paft_trainer.storage import ObjectStore

CHAT_TEMPLATE_FILE = "chat_template.jinja"
COPY_BYTES = 16 * 1024 * 1024
INTERFERENCE_FILE = "merge_interference.json"

_WRITTEN_BY_US = {CLAIM_FILE, MERGE_MANIFEST_FILE, ADAPTER_MANIFEST_FILE, CONFIGURATION_FILE, "README.md"}
_OF_THE_OLD_WEIGHTS = (".gguf", ".h5", ".msgpack", ".onnx", ".npz", ".pkl", ".index.json", ".gitattributes")


class OutputFolder:
    """Writes the files of a merged checkpoint. `files` maps names to {size, sha256} of what was written; `base_hashes`
    the base's tensors in shards of an interrupted run to their SHA-256."""

    def __init__(self, store: ObjectStore, uri: str) -> None:
        self._store = store
        self.uri = uri
        self.files: dict[str, dict[str, Any]] = {}
        self.base_hashes: dict[str, str] = {}
        self._figures: dict[str, dict[str, TensorFigures]] = {}

    def find_shards(self, recipe_digest: str) -> None:
        """Take up shards that an interrupted run of the same recipe has written; each is read and compared."""
        for info in list(self._store.list(self.uri + SHARD_RECORD_PREFIX)):
            # A record that is none is as good as none: its shard is written again.
            with contextlib.suppress(ValueError, KeyError, TypeError):
                self._find_shard(json.loads(self._store.read(info.uri)), recipe_digest)

    def _find_shard(self, record: Mapping[str, Any], recipe_digest: str) -> None:
        name, entry = record["name"], {"size": record["size"], "sha256": record["sha256"]}
        hashes = dict(record["baseHashes"])
        figures = {one["name"]: TensorFigures.from_record(one) for one in record["figures"]}
        if record["recipeDigest"] == recipe_digest and self._holds(name, entry):
            self.files[name], self._figures[name] = entry, figures
            self.base_hashes |= hashes

    def has_shard(self, name: str) -> bool:
        """Whether a shard is there."""
        return name in self.files

    def figures_of(self, name: str) -> dict[str, TensorFigures]:
        """Figures of the tensors in a shard, by name; none for a shard that is not there."""
        return self._figures.get(name, {})

    def record_shard(
        self,
        recipe_digest: str,
        name: str,
        figures: Mapping[str, TensorFigures],
        base_hashes: Mapping[str, str],
        size: int,
        sha256: str,
    ) -> None:
        """Remember a shard that was just written, so that an interrupted run need not compute it again.

        `base_hashes`: of the base's tensors in it, as far as they were hashed.
        """
        self.files[name] = {"size": size, "sha256": sha256}
        record = self.files[name] | {
            "name": name,
            "recipeDigest": recipe_digest,
            "baseHashes": dict(base_hashes),
            "figures": [one.to_record() for one in figures.values()],
        }
        self._store.put(f"{self.uri}{SHARD_RECORD_PREFIX}{name}.json", json.dumps(record, sort_keys=True).encode())

    def forget_shard_records(self) -> None:
        """To be called after the manifest, which tells the same."""
        for info in list(self._store.list(self.uri + SHARD_RECORD_PREFIX)):
            self._store.delete(info.uri)

    def write_interference(self, report: Mapping[str, Any]) -> None:
        """How the deltas met."""
        self.write(INTERFERENCE_FILE, [json.dumps(report, indent=1).encode()])

    def find_warnings(self, manifest: Mapping[str, Any]) -> list[str]:
        """Those of a finished merge, from its report."""
        if INTERFERENCE_FILE not in manifest["files"]:
            return []
        warnings: list[str] = json.loads(self._store.read(self.uri + INTERFERENCE_FILE))["warnings"]
        return warnings

    def write(self, name: str, chunks: Iterable[bytes]) -> None:
        """Stream one file."""
        size, sha256 = write_hashed(self._store, self.uri + name, chunks)
        self.files[name] = {"size": size, "sha256": sha256}

    def copy_base_files(self, base: BaseSpec, names: Sequence[str], known: Mapping[str, str]) -> None:
        """Tokenizer, generation settings, licence and whatever else the base has, with the job's chat template.

        `known`: SHA-256 of the base's files by name, where somebody has read them. Raises ArtifactMismatch.
        """
        for name in copied_names(base, names):
            self._copy(base.uri, name, known)
        self.write_chat_template(base)

    def write_chat_template(self, base: BaseSpec) -> None:
        """The job's own, where it has one."""
        if base.chat_template is not None:
            self.write(CHAT_TEMPLATE_FILE, [base.chat_template.encode()])

    def write_card(self, recipe: Mapping[str, Any]) -> None:
        """README.md."""
        self.write("README.md", [model_card(recipe).encode()])

    def write_index(self, shards: Sequence[Shard]) -> None:
        """The index of several shards; a single file has none."""
        if len(shards) == 1:
            return
        weight_map = {tensor.entry.name: shard.name for shard in shards for tensor in shard.tensors}
        total = sum(tensor.entry.size for shard in shards for tensor in shard.tensors)
        document = {"metadata": {"total_size": total}, "weight_map": weight_map}
        self.write(INDEX_FILE, [json.dumps(document, indent=1, sort_keys=True).encode()])

    def copy_configuration(self, base_uri: str, known: Mapping[str, str]) -> None:
        """config.json, without which stock readers see nothing: to be called after all that they need."""
        self._copy(base_uri, CONFIGURATION_FILE, known)

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """The manifest, which says that the folder is complete."""
        self._store.put(self.uri + MERGE_MANIFEST_FILE, json.dumps(manifest, indent=1, sort_keys=True).encode())

    def find_manifest(self) -> dict[str, Any] | None:
        """The manifest of a finished merge, as long as all its files are there in their sizes."""
        sizes = {info.uri.removeprefix(self.uri): info.size for info in self._store.list(self.uri)}
        if MERGE_MANIFEST_FILE not in sizes:
            return None
        manifest: dict[str, Any] = json.loads(self._store.read(self.uri + MERGE_MANIFEST_FILE))
        complete = all(sizes.get(name) == entry["size"] for name, entry in manifest["files"].items())
        return manifest if complete else None

    def _holds(self, name: str, entry: Mapping[str, Any]) -> bool:
        info = self._store.head(self.uri + name)
        if info is None or info.size != entry["size"]:
            return False
        digest = hashlib.sha256()
        for chunk in read_chunks(self._store, self.uri + name, 0, info.size, chunk_bytes=COPY_BYTES):
            digest.update(chunk)
        return digest.hexdigest() == entry["sha256"]

    def _copy(self, base_uri: str, name: str, known: Mapping[str, str]) -> None:
        info = self._store.head(base_uri + name)
        size = 0 if info is None else info.size
        # Once more where other bytes came: the store's may be whole, and have been spoilt on their way.
        for _ in range(2):
            self.write(name, read_chunks(self._store, base_uri + name, 0, size, chunk_bytes=COPY_BYTES))
            if known.get(name) in (None, self.files[name]["sha256"]):
                return
        raise ArtifactMismatch(
            f"{base_uri}{name} is not what was indexed: its SHA-256 is {self.files[name]['sha256']}",
            remedy="Check the base with paft verify; where it is damaged, upload it again, and start the job again.",
        )


def copied_names(base: BaseSpec, names: Sequence[str]) -> list[str]:
    """Which of the base's files beside its weights and config.json are copied."""
    replaced = set() if base.chat_template is None else {CHAT_TEMPLATE_FILE}
    return [name for name in names if name not in _WRITTEN_BY_US | replaced and not name.endswith(_OF_THE_OLD_WEIGHTS)]

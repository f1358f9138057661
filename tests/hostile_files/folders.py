"""Good folders of tiny models, as content by name: what trials spoil."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.merges import folder_uri
from tests.tiny_models import build_adapter, build_checkpoint

from paft_api.digests import file_set_digest
from paft_trainer.base.index import index_base
from paft_trainer.storage.file_store import FileStore

Content = Mapping[str, bytes]

BASE, SHARDED_BASE, ADAPTER, MERGED = "base", "sharded base", "adapter", "merged"
TARGETS = (BASE, SHARDED_BASE, ADAPTER, MERGED)
BASES = frozenset({BASE, SHARDED_BASE})
SHARDED = frozenset({SHARDED_BASE, MERGED})
PUBLISHED = frozenset({ADAPTER, MERGED})
MANIFESTS = {ADAPTER: "paft_manifest.json", MERGED: "merge_manifest.json"}
CLAIM = "paft_claim.json"
INDEX = "model.safetensors.index.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class GoodFolders:
    """`contents`: by target. `others`: as good, with other weights. `digests`: by target. `artifacts`: where the bases
    are indexed."""

    contents: Mapping[str, Content]
    others: Mapping[str, Content]
    digests: Mapping[str, str]
    artifacts: Path


def build_good_folders(root: Path) -> GoodFolders:
    """Build them once."""
    contents, others = (_contents(root / f"seed-{seed}", seed) for seed in (1, 2))
    artifacts = root / "artifacts"
    digests = {name: json.loads(contents[name][file])["digest"] for name, file in MANIFESTS.items()}
    for name in BASES:
        # The other bases are indexed too: which index is a base's has to be told by its content.
        for number, content in enumerate((others[name], contents[name])):
            folder = write_folder(root / f"indexed {number}" / name, content)
            digests[name] = index_base(FileStore(), folder_uri(folder), folder_uri(artifacts)).digest
    return GoodFolders(contents=contents, others=others, digests=digests, artifacts=artifacts)


def write_folder(folder: Path, content: Content) -> Path:
    """A folder with this content."""
    folder.mkdir(parents=True)
    for name, data in content.items():
        (folder / name).write_bytes(data)
    return folder


def read_folder(folder: Path) -> Content:
    """Content of every file."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def publish(content: Content, kind: str, extra: Mapping[str, object]) -> Content:
    """The folder with claim and manifest, as our stages write them."""
    files = {
        name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in content.items()
        if name not in (CLAIM, *MANIFESTS.values())
    }
    digest = file_set_digest({name: str(entry["sha256"]) for name, entry in files.items()})
    claim = dict(extra) if kind == "merge" else {"formatVersion": 1, "source": "s3://b/a/", "digest": digest}
    manifest = {**extra, "kind": kind, "digest": digest, "files": files, "versions": {"paft": "0.1.0"}}
    name = MANIFESTS[MERGED if kind == "merge" else ADAPTER]
    return {**content, CLAIM: json.dumps(claim).encode(), name: json.dumps(manifest).encode()}


def _contents(root: Path, seed: int) -> dict[str, Content]:
    base = build_checkpoint(root / BASE, hidden_size=16, seed=seed)
    sharded = build_checkpoint(root / SHARDED_BASE, hidden_size=16, seed=seed, max_shard_size="20KB")
    adapter = build_adapter(root / ADAPTER, base, r=2, seed=seed, target_modules=["q_proj", "down_proj"])
    merged = build_checkpoint(root / MERGED, hidden_size=16, seed=10 + seed, max_shard_size="20KB")
    recipe = {
        "formatVersion": 1,
        "recipeDigest": f"sha256:{hashlib.sha256(bytes([seed])).hexdigest()}",
        "merge": {"method": "ties", "density": 0.5},
    }
    contents = {
        BASE: read_folder(base),
        SHARDED_BASE: read_folder(sharded),
        ADAPTER: publish(read_folder(adapter), "adapter", {"baseDigest": f"sha256:{'0' * 64}"}),
        MERGED: publish(read_folder(merged), "merge", recipe),
    }
    shutil.rmtree(root)
    return contents

"""The output folder: files are streamed into it and remembered with size and SHA-256."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from paft_api.layout import ADAPTER_MANIFEST_FILE, CLAIM_FILE, MERGE_MANIFEST_FILE
from paft_api.spec.base import BaseSpec
from paft_api.spec.merge import MergeSpec
from paft_trainer.adapters import Adapter
from paft_trainer.checkpoint_files import INDEX_FILE
from paft_trainer.merge.model_card import model_card
from paft_trainer.merge.shards import Shard
from paft_trainer.publishing import write_hashed
from paft_trainer.storage import ObjectStore

CHAT_TEMPLATE_FILE = "chat_template.jinja"

_NOT_COPIED = {"README.md", "config.json", CLAIM_FILE, MERGE_MANIFEST_FILE, ADAPTER_MANIFEST_FILE, ".gitattributes"}


class OutputFolder:
    """Writes the files of a merged checkpoint. `files` maps names to {size, sha256} of what was written."""

    def __init__(self, store: ObjectStore, uri: str) -> None:
        self._store = store
        self.uri = uri
        self.files: dict[str, dict[str, Any]] = {}

    def write(self, name: str, chunks: Iterable[bytes]) -> None:
        """Stream one file."""
        size, sha256 = write_hashed(self._store, self.uri + name, chunks)
        self.files[name] = {"size": size, "sha256": sha256}

    def copy(self, base_uri: str, name: str) -> None:
        """Copy one small file of the base."""
        self.write(name, [self._store.read(base_uri + name)])

    def copy_base_files(self, base: BaseSpec, names: Sequence[str]) -> None:
        """Tokenizer, generation settings and whatever else the base has, with the job's chat template."""
        replaced = set() if base.chat_template is None else {CHAT_TEMPLATE_FILE}
        for name in names:
            if name not in _NOT_COPIED | replaced:
                self.copy(base.uri, name)
        if base.chat_template is not None:
            self.write(CHAT_TEMPLATE_FILE, [base.chat_template.encode()])

    def write_card(
        self, base_uri: str, spec: MergeSpec, recipe: Mapping[str, Any], adapters: Mapping[str, Adapter]
    ) -> None:
        """README.md."""
        card = model_card(
            base_uri=base_uri,
            base_digest=recipe["base"]["digest"],
            spec=spec,
            recipe_digest=recipe["recipeDigest"],
            adapters=adapters,
        )
        self.write("README.md", [card.encode()])

    def write_index(self, shards: Sequence[Shard]) -> None:
        """The index of several shards; a single file has none."""
        if len(shards) == 1:
            return
        weight_map = {tensor.entry.name: shard.name for shard in shards for tensor in shard.tensors}
        total = sum(tensor.entry.size for shard in shards for tensor in shard.tensors)
        document = {"metadata": {"total_size": total}, "weight_map": weight_map}
        self.write(INDEX_FILE, [json.dumps(document, indent=1, sort_keys=True).encode()])

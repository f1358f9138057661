"""Tensors that the output takes from an adapter as they are, in place of the base's: embeddings, heads, norms.

PEFT puts them into an adapter's file for `modules_to_save`, and the embeddings also where they were resized or
`save_embedding_layers` was asked for. Two of one tensor cannot be merged: they are no deltas.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from paft_api.spec.merge_methods import MergeMethod
from paft_trainer.adapter_weights import FLOATS, SavedTensor
from paft_trainer.adapters import Adapter
from paft_trainer.errors import ArtifactMismatch
from paft_trainer.foreign_documents import shown
from paft_trainer.merge.arithmetic import DTYPES
from paft_trainer.merge.method import ARMS
from paft_trainer.merge.shards import SourceTensor
from paft_trainer.safetensors_files import DTYPE_BYTES, TensorEntry
from paft_trainer.storage import ObjectStore

COMPARED_ENTRIES = 4 * 1024 * 1024
EMBEDDINGS = frozenset({"embed_tokens", "wte", "word_embeddings", "embed_in"})
HEADS = frozenset({"lm_head", "embed_out"})
"""Last parts of modules' names, as in PEFT's and transformers' models."""

_ONE_ARM = {MergeMethod.SFT_ONLY: ("sft",), MergeMethod.PREFERENCE_ONLY: ("preference",)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Replacement:
    """`arm`: whose tensor it is. `dtype`: the base's, to which it is cast."""

    arm: str
    saved: SavedTensor
    dtype: str

    def read(self, store: ObjectStore, start: int, size: int) -> memoryview:
        """`size` bytes of the output's tensor from `start` on. Raises ArtifactMismatch for what leaves the dtype."""
        width = DTYPE_BYTES[self.dtype]
        values = self.saved.read(store, start // width, size // width).to(FLOATS[self.dtype])
        if not bool(torch.isfinite(values).all()):
            raise ArtifactMismatch(
                f"{shown(self.saved.entry.name)} of {self.saved.uri} leaves the range of {self.dtype}",
                remedy="Train the adapter again in the base's dtype: its weights are far too large.",
            )
        return memoryview(values.view(torch.uint8).numpy()).cast("B")

    def to_document(self) -> dict[str, Any]:
        """As manifests and reports have it."""
        return {"arm": self.arm, "dtype": self.saved.entry.dtype, "sha256": self.saved.sha256}


def acting_arms(method: MergeMethod) -> tuple[str, ...]:
    """Whose tensors the output takes: of a control its own arm's alone."""
    return _ONE_ARM.get(method, ARMS)


def replacements(
    method: MergeMethod, base: Mapping[str, TensorEntry], adapters: Mapping[str, Adapter]
) -> dict[str, Replacement]:
    """By the base's tensor. Raises ArtifactMismatch where both arms have one.

    A head that is tied to its embedding, and has no tensor in the base, is left out.
    """
    found: dict[str, Replacement] = {}
    for arm in acting_arms(method):
        for name, saved in adapters[arm].saved.items():
            if name in found:
                raise ArtifactMismatch(
                    f"both adapters hold a whole {shown(name)}, {adapters['sft'].uri} and "
                    f"{adapters['preference'].uri}: they are no deltas and cannot be merged",
                    remedy="Train one of the arms without it in modules_to_save (saved with save_embedding_layers="
                    "False), or take one arm alone with method sft_only or preference_only.",
                )
            if name in base:
                found[name] = Replacement(arm=arm, saved=saved, dtype=base[name].dtype)
    return found


def check_saved_tensors(base: Mapping[str, TensorEntry], adapters: Mapping[str, Adapter], *, tied: bool) -> None:
    """Whether the base has what they replace. `tied`: its head is its embedding. Raises ArtifactMismatch."""
    for arm, adapter in adapters.items():
        who = f"the {arm} adapter {adapter.uri}"
        if tied:
            _check_tied(who, adapter)
        for name, saved in adapter.saved.items():
            if not (tied and _is_one_of(HEADS, name) and name not in base):
                _check_shape(who, name, saved.entry, base.get(name))
        for other_arm, other in adapters.items():
            both = next((name for name in adapter.saved if name.removesuffix(".weight") in other.modules), None)
            if both is not None:
                raise ArtifactMismatch(
                    f"{who} holds a whole {shown(both)}, to which the {other_arm} adapter {other.uri} has a delta: "
                    "that was trained on the base's",
                    remedy="Train the arms with the module in either modules_to_save of one or target_modules.",
                )


def check_base_layers(store: ObjectStore, base: Mapping[str, SourceTensor], adapters: Mapping[str, Adapter]) -> None:
    """Whether copies of the base's weights below adapted modules are those of this base. Raises ArtifactMismatch.

    PEFT saves them where a head or an embedding is among the targets. They are compared in the copy's dtype, in which
    the adapter was trained.
    """
    for arm, adapter in adapters.items():
        for name, copy in adapter.base_layers.items():
            source = base.get(name)
            if source is not None and source.entry.shape == copy.entry.shape and _is_equal(store, source, copy):
                continue
            raise ArtifactMismatch(
                f"the {arm} adapter {adapter.uri} holds a copy of {shown(name)}, which is not the base's",
                remedy="Merge adapters with the base they were trained on; a resized vocabulary cannot be merged.",
            )


def _check_shape(who: str, name: str, saved: TensorEntry, entry: TensorEntry | None) -> None:
    if entry is None:
        raise ArtifactMismatch(
            f"{who} holds a whole {shown(name)}, which the base does not have",
            remedy="Merge adapters with the base they were trained on.",
        )
    if entry.shape != saved.shape:
        is_resized = len(entry.shape) == 2 and entry.shape[1:] == saved.shape[1:]
        reason = "its vocabulary was resized" if is_resized and _is_one_of(EMBEDDINGS | HEADS, name) else "another base"
        raise ArtifactMismatch(
            f"{who} holds a whole {shown(name)} of shape {list(saved.shape)}, but the base's is {list(entry.shape)}: "
            f"{reason}",
            remedy="Resize the base first, save it with its tokenizer, and merge with that."
            if reason.startswith("its")
            else "Merge adapters with the base they were trained on.",
        )
    if entry.dtype not in DTYPES:
        raise ArtifactMismatch(
            f"{who} holds a whole {shown(name)}, which in the base is {entry.dtype}",
            remedy=f"Use a base in one of {', '.join(DTYPES)}.",
        )


def _check_tied(who: str, adapter: Adapter) -> None:
    """Readers of a checkpoint with a tied head take the embedding for both."""
    ends = {saved.sha256 for name, saved in adapter.saved.items() if _is_one_of(EMBEDDINGS | HEADS, name)}
    names = [name for name in adapter.saved if _is_one_of(EMBEDDINGS | HEADS, name)]
    if names and (len(names) < 2 or len(ends) > 1):
        raise ArtifactMismatch(
            f"{who} holds a whole {shown(names[0])}, but config.json ties the head to the embedding, which are no "
            "longer one",
            remedy="Train the adapter with ensure_weight_tying: true.",
        )


def _is_one_of(parts: frozenset[str], name: str) -> bool:
    return name.removesuffix(".weight").split(".")[-1] in parts


def _is_equal(store: ObjectStore, source: SourceTensor, copy: SavedTensor) -> bool:
    own = SavedTensor(uri=source.uri, entry=source.entry, sha256="")
    entries = copy.entry.size // DTYPE_BYTES[copy.entry.dtype]
    for start in range(0, entries, COMPARED_ENTRIES):
        count = min(COMPARED_ENTRIES, entries - start)
        theirs = copy.read(store, start, count)
        if not torch.equal(own.read(store, start, count).to(theirs.dtype), theirs):
            return False
    return True

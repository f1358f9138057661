"""adapter_model.safetensors of PEFT: LoRA factors, and tensors that take the place of the base's.

Factors are kept. Whole tensors, of `modules_to_save` or `save_embedding_layers`, may be as large as an embedding: they
are read once to be hashed and checked, and again, range by range, by whoever wants them.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch

from paft_trainer.errors import ArtifactMismatch, ConfigInvalid
from paft_trainer.foreign_documents import shown
from paft_trainer.safetensors_files import DTYPE_BYTES, SafetensorsHeader, TensorEntry, parse_header, read_header
from paft_trainer.storage import ObjectStore

FLOATS = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
"""dtypes of tensors in adapters."""

CHUNK_BYTES = 16 * 1024 * 1024

_FACTOR = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<factor>[AB])\.weight")
_BASE_LAYER = re.compile(r"base_model\.model\.(?P<module>.+)\.base_layer\.weight")
_WHOLE = re.compile(r"base_model\.model\.(?P<tensor>.+)")

_VARIANTS = {
    "lora_magnitude_vector": "a norm of DoRA (use_dora)",
    "lora_embedding_": "a factor of an embedding, which is no linear module",
    "lora_B.bias": "a bias of a factor (lora_bias)",
    "lora_diag": "a diagonal of KaSA (kasa_config)",
    "lora_": "no factor of a linear module",
    "trainable_tokens_": "rows of an embedding (trainable_token_indices)",
    "base_layer.": "part of the base below an adapted module",
    "original_module.": "a module of the base beside its replacement",
}
"""What the first of these that lies in a tensor's name means."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SavedTensor:
    """A whole tensor in an adapter's file. `sha256`: of its bytes, hexadecimal."""

    uri: str
    entry: TensorEntry
    sha256: str

    def read(self, store: ObjectStore, start: int, count: int) -> torch.Tensor:
        """`count` entries from `start` on, flat, in the tensor's own dtype."""
        width = DTYPE_BYTES[self.entry.dtype]
        content = store.read_range(self.uri, self.entry.start + start * width, count * width)
        return _decode(content, self.entry.dtype)


@dataclass(kw_only=True, slots=True)
class AdapterWeights:
    """What one file holds. `sha256`: of the file.

    `factors`: lora_A and lora_B by the name of the base's module, in their own dtypes. `saved`: tensors that replace
    the base's, by the names of those. `base_layers`: copies of the base's weights below adapted modules, likewise.
    """

    sha256: str = ""
    factors: dict[str, dict[str, torch.Tensor]] = field(default_factory=dict)
    saved: dict[str, SavedTensor] = field(default_factory=dict)
    base_layers: dict[str, SavedTensor] = field(default_factory=dict)


def check_weights_header(uri: str, header: SafetensorsHeader) -> None:
    """Names, dtypes and shapes, before anything is read. Raises ConfigInvalid for what is no plain LoRA."""
    if not header.entries:
        raise ConfigInvalid(f"{uri} holds no tensors", remedy="Train the adapter again.")
    for entry in header.entries:
        reason = _reason_to_refuse(entry)
        if reason is not None:
            raise ConfigInvalid(
                f"{uri} holds {shown(entry.name)} of shape {shown(list(entry.shape))} and dtype {entry.dtype}, "
                f"{reason}",
                remedy="Only LoRA on linear modules, and whole tensors of the base, in one of "
                + ", ".join(FLOATS)
                + ", can be merged.",
            )
    modules = {match["module"] for entry in header.entries if (match := _FACTOR.fullmatch(entry.name)) is not None}
    for entry in header.entries:
        if _place(entry) == "whole" and _tensor_name(entry).removesuffix(".weight") in modules:
            raise ConfigInvalid(
                f"{uri} holds both factors and a whole weight of {shown(_tensor_name(entry).removesuffix('.weight'))}",
                remedy="Train the adapter with the module in either target_modules or modules_to_save.",
            )


def read_weights(store: ObjectStore, uri: str) -> AdapterWeights:
    """Read a file whose header was checked. Raises ArtifactMismatch for NaN and infinite values."""
    start = read_header(store, uri).data_start
    info = store.head(uri)
    assert info is not None
    prefix = store.read_range(uri, 0, start)
    # Read once more, beside what is hashed: the file may have been written anew meanwhile.
    header = parse_header(uri, prefix[8:], file_size=info.size)
    check_weights_header(uri, header)
    whole = hashlib.sha256(prefix)
    weights = AdapterWeights()
    for entry, chunks in _read_tensors(store, uri, header):
        if _place(entry) == "factor":
            match = _FACTOR.fullmatch(entry.name)
            assert match is not None
            content = b"".join(chunks)
            whole.update(content)
            weights.factors.setdefault(match["module"], {})[match["factor"]] = _finite(uri, entry, content)
        else:
            own = hashlib.sha256()
            for chunk in chunks:
                whole.update(chunk)
                own.update(chunk)
                _finite(uri, entry, chunk)
            saved = SavedTensor(uri=uri, entry=entry, sha256=own.hexdigest())
            target = weights.saved if _place(entry) == "whole" else weights.base_layers
            target[_tensor_name(entry)] = saved
    weights.sha256 = whole.hexdigest()
    return weights


def _read_tensors(
    store: ObjectStore, uri: str, header: SafetensorsHeader
) -> Iterator[tuple[TensorEntry, Iterator[bytes]]]:
    """Each tensor with its bytes, in the file's order. Small ones are read together."""
    together: list[TensorEntry] = []
    for entry in [*header.entries, None]:
        is_full = sum(one.size for one in together) + (0 if entry is None else entry.size) > CHUNK_BYTES
        if together and (entry is None or is_full):
            first, size = together[0].start, sum(one.size for one in together)
            content = store.read_range(uri, first, size) if size > 0 else b""
            for one in together:
                yield one, iter((content[one.start - first : one.start - first + one.size],))
            together = []
        if entry is not None and entry.size > CHUNK_BYTES:
            yield entry, _chunks(store, uri, entry)
        elif entry is not None:
            together.append(entry)


def _chunks(store: ObjectStore, uri: str, entry: TensorEntry) -> Iterator[bytes]:
    for start in range(0, entry.size, CHUNK_BYTES):
        yield store.read_range(uri, entry.start + start, min(CHUNK_BYTES, entry.size - start))


def _reason_to_refuse(entry: TensorEntry) -> str | None:
    place = _place(entry)
    if place is None:
        found = next((reason for mark, reason in _VARIANTS.items() if mark in entry.name), None)
        return found or "no factor of a linear module"
    if entry.dtype not in FLOATS:
        return "no factor of a linear module" if place == "factor" else "whose dtype no base has"
    if place == "factor" and len(entry.shape) != 2:
        return "no factor of a linear module" + (" but of a convolution" if len(entry.shape) > 2 else "")
    return None


def _place(entry: TensorEntry) -> str | None:
    """factor, base_layer or whole; None for a tensor of another kind."""
    if _FACTOR.fullmatch(entry.name) is not None:
        return "factor"
    if _BASE_LAYER.fullmatch(entry.name) is not None:
        return "base_layer"
    if _WHOLE.fullmatch(entry.name) is not None and not any(mark in entry.name for mark in _VARIANTS):
        return "whole"
    return None


def _tensor_name(entry: TensorEntry) -> str:
    """The tensor of the base that a whole tensor stands for."""
    return entry.name.removeprefix("base_model.model.").replace(".base_layer.", ".")


def _finite(uri: str, entry: TensorEntry, content: bytes) -> torch.Tensor:
    values = _decode(content, entry.dtype)
    # What fp32 cannot hold no base and no delta can.
    if not bool(torch.isfinite(values.float()).all()):
        raise ArtifactMismatch(
            f"{uri}: {shown(entry.name)} holds NaN or infinite values", remedy="Train the adapter again."
        )
    return values.reshape(entry.shape) if values.numel() * DTYPE_BYTES[entry.dtype] == entry.size else values


def _decode(content: bytes, dtype: str) -> torch.Tensor:
    if not content:
        return torch.empty(0, dtype=FLOATS[dtype])
    return torch.frombuffer(bytearray(content), dtype=FLOATS[dtype])

"""Reading PEFT LoRA adapters from an object store, with every reason to refuse one before a base is read."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from paft_api.digests import file_set_digest
from paft_api.layout import ADAPTER_MANIFEST_FILE
from paft_trainer.adapter_configuration import CONFIGURATION_FILE, AdapterConfiguration, parse_configuration
from paft_trainer.adapter_weights import AdapterWeights, SavedTensor, check_weights_header, read_weights
from paft_trainer.errors import ArtifactMismatch, ConfigInvalid
from paft_trainer.float_decoding import Matrix
from paft_trainer.folder_links import require_no_links_out
from paft_trainer.foreign_documents import BrokenDocument, read_bounded, read_object, refused, shown
from paft_trainer.safetensors_files import read_header
from paft_trainer.storage import ObjectMissing, ObjectStore

WEIGHTS_FILE = "adapter_model.safetensors"
PICKLED_FILE = "adapter_model.bin"


@dataclass(frozen=True, kw_only=True, slots=True)
class Factors:
    """One adapted module: ΔW = scale·B·A. `a` is [r, in_features] and `b` [out_features, r], both fp32."""

    a: Matrix
    b: Matrix
    scale: float

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of ΔW."""
        return self.b.shape[0], self.a.shape[1]

    @property
    def bound(self) -> float:
        """What no entry of ΔW, nor any sum on the way to it, exceeds in magnitude."""
        if self.is_zero:
            return 0.0
        largest = float(np.abs(self.a).max()) * float(np.abs(self.b).max())
        return self.a.shape[0] * largest * max(abs(self.scale), 1.0)

    @property
    def is_zero(self) -> bool:
        """Whether one factor alone makes ΔW zero."""
        return self.scale == 0 or not bool(self.a.any()) or not bool(self.b.any())


@dataclass(frozen=True, kw_only=True, slots=True)
class Adapter:
    """A LoRA adapter. `modules` maps names of the base's modules to factors, sorted; `manifest` is PAFT's own, where
    it has one.

    `saved`: tensors that it has in place of the base's, by the names of those. `base_layers`: its copies of the base's
    weights below adapted modules, likewise. `ties_weights`: whether it ties a head to its embedding.
    """

    uri: str
    digest: str
    modules: dict[str, Factors]
    manifest: dict[str, Any] | None
    saved: dict[str, SavedTensor] = field(default_factory=dict)
    base_layers: dict[str, SavedTensor] = field(default_factory=dict)
    ties_weights: bool = False

    @property
    def base_digest(self) -> str | None:
        """The base it was trained on, where its manifest tells."""
        return None if self.manifest is None else self.manifest["baseDigest"]


def adapter_digest(sha256_by_name: Mapping[str, str]) -> str:
    """Digest of an adapter: over its configuration and its weights, whatever else lies beside them."""
    return file_set_digest({name: sha256_by_name[name] for name in (CONFIGURATION_FILE, WEIGHTS_FILE)})


def read_adapter(
    store: ObjectStore, folder: str, *, expected_base_digest: str | None = None, expected_digest: str | None = None
) -> Adapter:
    """Read and check an adapter. Raises ArtifactMismatch or ConfigInvalid with the reason.

    `expected_base_digest` is compared with the manifest's, where there is one; `expected_digest` with the files.
    """
    configuration_bytes = _read_configuration(store, folder)
    uri = folder + WEIGHTS_FILE
    configuration = parse_configuration(folder, configuration_bytes)
    check_weights_header(uri, read_header(store, uri))
    weights = read_weights(store, uri)
    digest = adapter_digest(
        {CONFIGURATION_FILE: hashlib.sha256(configuration_bytes).hexdigest(), WEIGHTS_FILE: weights.sha256}
    )
    if expected_digest is not None and digest != expected_digest:
        raise ArtifactMismatch(
            f"{folder} has the digest {digest}, but {expected_digest} was to be merged",
            remedy="The adapter was changed after it was trained; train it again.",
        )
    if configuration.saves_modules and not weights.saved:
        raise ArtifactMismatch(
            f"{uri} holds no whole tensor, but {CONFIGURATION_FILE} names modules_to_save",
            remedy="Save the adapter again with save_pretrained.",
        )
    adapter = Adapter(
        uri=folder,
        digest=digest,
        modules=_pair_factors(uri, configuration, weights),
        manifest=_read_manifest(store, folder, digest),
        saved=weights.saved,
        base_layers=weights.base_layers,
        ties_weights=configuration.ties_weights,
    )
    if expected_base_digest is not None:
        require_base(adapter, expected_base_digest)
    return adapter


def require_base(adapter: Adapter, base_digest: str) -> None:
    """Raises ArtifactMismatch where the adapter's manifest names another base."""
    if adapter.base_digest not in (None, base_digest):
        raise ArtifactMismatch(
            f"{adapter.uri} was trained on the base {adapter.base_digest}, but the base is {base_digest}",
            remedy="Merge adapters with the base they were trained on.",
        )


def _read_configuration(store: ObjectStore, folder: str) -> bytes:
    """The bytes of the configuration of a folder that has weights."""
    names = (CONFIGURATION_FILE, WEIGHTS_FILE, ADAPTER_MANIFEST_FILE)
    require_no_links_out(folder, names)
    try:
        configuration = read_bounded(store, folder + CONFIGURATION_FILE)
    except ObjectMissing as error:
        raise ConfigInvalid(
            f"{folder} has no {CONFIGURATION_FILE}", remedy="Give the folder of a PEFT adapter."
        ) from error
    except BrokenDocument as error:
        remedy = "Save the adapter again with save_pretrained."
        raise refused(
            ConfigInvalid, folder + CONFIGURATION_FILE, "configuration of PEFT", error, remedy=remedy
        ) from error
    if store.head(folder + WEIGHTS_FILE) is None:
        if store.head(folder + PICKLED_FILE) is not None:
            raise ConfigInvalid(
                f"{folder} has pickled weights only ({PICKLED_FILE}); unpickling runs code of the file",
                remedy="Load the adapter once with PEFT and save it again, which writes safetensors.",
            )
        raise ConfigInvalid(f"{folder} has no {WEIGHTS_FILE}", remedy="Give the folder of a PEFT adapter.")
    return configuration


def _read_manifest(store: ObjectStore, folder: str, digest: str) -> dict[str, Any] | None:
    uri = folder + ADAPTER_MANIFEST_FILE
    if store.head(uri) is None:
        return None
    remedy = "Remove it if the adapter is not PAFT's; otherwise train the adapter again."
    try:
        manifest = read_object(store, uri)
    except BrokenDocument as error:
        raise refused(ArtifactMismatch, uri, "adapter manifest", error, remedy=remedy) from error
    claimed = manifest.get("digest")
    if not isinstance(claimed, str) or not isinstance(manifest.get("baseDigest"), str):
        raise ArtifactMismatch(f"{uri} is no adapter manifest: it has no digest or no baseDigest", remedy=remedy)
    if claimed != digest:
        raise ArtifactMismatch(
            f"{folder}: its files have the digest {digest}, but its manifest says {shown(claimed)}",
            remedy="The adapter was changed after it was published; train it again.",
        )
    return manifest


def _pair_factors(uri: str, configuration: AdapterConfiguration, weights: AdapterWeights) -> dict[str, Factors]:
    return {module: _factors(uri, module, configuration, pair) for module, pair in sorted(weights.factors.items())}


def _factors(uri: str, module: str, configuration: AdapterConfiguration, pair: dict[str, Matrix]) -> Factors:
    remedy = "Save the adapter again with save_pretrained."
    if set(pair) != {"A", "B"}:
        raise ArtifactMismatch(f"{uri}: {shown(module)} has only lora_{next(iter(pair))}", remedy=remedy)
    ranks = pair["A"].shape[0], pair["B"].shape[1]
    if ranks != (configuration.rank(module),) * 2:
        raise ArtifactMismatch(
            f"{uri}: {shown(module)} has lora_A of rank {ranks[0]} and lora_B of rank {ranks[1]}, "
            f"but {CONFIGURATION_FILE} says {configuration.rank(module)}",
            remedy=remedy,
        )
    return Factors(a=pair["A"], b=pair["B"], scale=configuration.scale(module))
